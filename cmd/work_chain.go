package cmd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"gm/internal/exitline"
	"gm/internal/gather"
	"gm/pkg/gearman"
)

// chainPatience is how long a job may wait, at its end, for its server to take
// the next one: for room in that one's queue or a store that is well again.
const chainPatience = 30 * time.Second

// A chain hands on what becomes of jobs: results to one function, the payloads
// of jobs that failed to another. It does so before the job itself is ended, on
// the server that the job is from, because that one is there and has taken such
// bytes before: so no job ends without the one that is to follow it.
//
// It is safe for concurrent use. A nil chain hands nothing on.
type chain struct {
	next, onFail string // functions; empty: none
	priority     gearman.Priority
	inherit      bool            // the priority is the job's, if its server can tell
	options      gearman.Options // of the clients
	maxResult    int
	exception    bool // a failure is one
	log          *slog.Logger

	mu      sync.Mutex
	clients map[gearman.Server]*chainClient
	sent    map[*gearman.Job]*sentData // of the jobs that run, if there is a next
}

// chainClient is what a chain has of one server.
type chainClient struct {
	*gearman.Client
	admin *gearman.Admin
}

// sentData is the part of a job's result that was sent before its end.
type sentData struct {
	mu   sync.Mutex // also keeps the order in which the parts go out
	data gather.Buffer
	err  error // why there is no whole result
}

func chainFlags() []cli.Flag {
	const category = "Chains"
	return []cli.Flag{
		&cli.StringFlag{Name: "next", Category: category, Usage: "submit each result to `FUNC`, in the background, before its job is completed"},
		&cli.StringFlag{Name: "on-fail", Category: category, Usage: "submit the payload of each job that fails to `FUNC`, in the background, before it is failed"},
		&cli.StringFlag{Name: "next-priority", Category: category, Value: "normal", Usage: "`PRIORITY` of these jobs: high, normal, low, or same as the job's, which only gm serve tells"},
	}
}

// newChain reads the flags of a chain. It is nil if there is to be none.
func newChain(c *cli.Context, o *gearman.WorkerOptions) (*chain, error) {
	h := &chain{
		next: c.String("next"), onFail: c.String("on-fail"),
		options:   o.Options,
		maxResult: o.MaxPayload,
		exception: c.Bool("exception"),
		log:       o.Logger,
		clients:   map[gearman.Server]*chainClient{},
		sent:      map[*gearman.Job]*sentData{},
	}
	h.options.Logger = nil // the worker's own says which server is lost
	functions := workFunctions(c)
	for _, name := range []string{"next", "on-fail"} {
		switch {
		case !c.IsSet(name):
		case c.String(name) == "":
			return nil, usageErrorf("--%s: the function has no name", name)
		case len(functions) == 1 && c.String(name) == functions[0] && c.String("dir") == "":
			return nil, usageErrorf("--%s %s: its jobs would go round for ever", name, functions[0])
		}
	}
	var err error
	if h.inherit = c.String("next-priority") == "same"; !h.inherit {
		if h.priority, err = gearman.ParsePriority(c.String("next-priority")); err != nil {
			return nil, usageErrorf("--next-priority: %w, or same", err)
		}
	}
	switch {
	case h.next != "" || h.onFail != "":
		return h, nil
	case c.IsSet("next-priority"):
		return nil, usageErrorf("--next-priority is for --next and --on-fail")
	}
	return nil, nil
}

// close gives up the connections. It is called when no job runs any more.
func (h *chain) close() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.clients {
		c.Client.Close()
		c.admin.Close()
	}
	clear(h.clients)
}

// wrap returns a handler that does its jobs as handle does, and hands on before
// it ends them.
func (h *chain) wrap(handle gearman.Handler) gearman.Handler {
	if h == nil {
		return handle
	}
	return func(ctx context.Context, j *gearman.Job) ([]byte, error) {
		sent := h.begin(j)
		defer h.end(j)
		data, err := handle(ctx, j)
		if err == nil {
			err = h.succeeded(ctx, j, sent, data)
		}
		switch {
		case err == nil:
			return data, nil
		case errors.Is(err, gearman.ErrRetry), errors.Is(err, gearman.ErrLost):
			return nil, err
		case errors.Is(context.Cause(ctx), gearman.ErrCancelled):
			return nil, err // nobody wants what would follow
		}
		if kept := h.failed(ctx, j); kept != nil {
			return nil, kept
		}
		return nil, err
	}
}

// begin makes ready to keep what the job sends, if that is to be handed on.
func (h *chain) begin(j *gearman.Job) *sentData {
	// The chain ends at its last function, which the same worker may do.
	if h.next == "" || h.next == j.Function() {
		return nil
	}
	s := new(sentData)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent[j] = s
	return s
}

func (h *chain) end(j *gearman.Job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sent, j)
}

// sendData sends a part of a job's result, and keeps it for the next job.
func (h *chain) sendData(j *gearman.Job, part []byte) error {
	var s *sentData
	if h != nil {
		h.mu.Lock()
		s = h.sent[j]
		h.mu.Unlock()
	}
	if s == nil {
		return j.SendData(part)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.add(part, h.maxResult); err != nil {
		return err
	}
	return j.SendData(part)
}

// add keeps a part, up to a size of the whole. The first error counts.
func (s *sentData) add(part []byte, most int) error {
	if s.err == nil && s.data.Size()+len(part) > most {
		s.err = fmt.Errorf("the result is over the limit of %d bytes", most)
	}
	if s.err == nil {
		s.data.Add(part)
	}
	return s.err
}

// succeeded hands a result on: what was sent of it, and data. The error is
// ErrRetry or ErrLost, wrapped, or one that fails the job.
func (h *chain) succeeded(ctx context.Context, j *gearman.Job, sent *sentData, data []byte) error {
	if sent == nil {
		return nil
	}
	sent.mu.Lock()
	err := sent.err
	if sent.data.Size() > 0 && err == nil {
		if err = sent.add(data, h.maxResult); err == nil {
			data = sent.data.Join()
		}
	}
	sent.mu.Unlock()
	if err == nil {
		err = h.submit(ctx, j, h.next, data)
	}
	if err == nil || errors.Is(err, gearman.ErrRetry) || errors.Is(err, gearman.ErrLost) {
		return err
	}
	err = fmt.Errorf("not handed on to %s: %w", h.next, err)
	h.log.Warn("job failed", "handle", string(j.Handle()), "function", j.Function(), "reason", err)
	text := exitline.Append(nil, exitRefused, err.Error())
	if h.exception {
		return &gearman.Exception{Data: text}
	}
	if warned := j.SendWarning(text); warned != nil {
		h.log.Warn("warning not sent", "error", warned)
	}
	return err
}

// failed hands on the payload of a job that has failed. An error gives the job
// back: it is not ended without the one that is to follow.
func (h *chain) failed(ctx context.Context, j *gearman.Job) error {
	if h.onFail == "" || h.onFail == j.Function() {
		return nil
	}
	payload := bytes.Clone(j.Payload()) // a submission that is given up may still be on its way
	err := h.submit(ctx, j, h.onFail, payload)
	if err == nil || errors.Is(err, gearman.ErrRetry) || errors.Is(err, gearman.ErrLost) {
		return err
	}
	h.log.Warn("job goes back to its queue", "handle", string(j.Handle()), "function", j.Function(),
		"reason", fmt.Errorf("not handed on to %s: %w", h.onFail, err))
	return fmt.Errorf("%w: %w", gearman.ErrRetry, err)
}

// submit gives a job's server the one that follows it. The error is ErrRetry or
// ErrLost, wrapped, or that of a server that will never take it.
func (h *chain) submit(ctx context.Context, j *gearman.Job, function string, payload []byte) error {
	log := h.log.With("handle", string(j.Handle()), "function", j.Function(), "next", function)
	c, err := h.client(j.Server())
	if err != nil {
		return err
	}
	handle, err := c.Background(ctx, &gearman.Task{
		Function: function,
		Unique:   chainUnique(string(j.Handle()), j.Unique(), j.Payload()),
		Payload:  payload,
		Priority: h.priorityOf(ctx, c, j),
		Retries:  math.MaxInt,
		Timeout:  chainPatience,
		OnRetry: func(attempt int, err error) {
			if attempt == 1 {
				log.Warn("server does not take the next job yet", "error", err)
			}
		},
	})
	var refused *gearman.ServerError
	switch {
	case err == nil:
		log.Debug("handed on", "next_handle", string(handle))
		return nil
	case errors.As(err, &refused) && serverErrorCode(refused) == exitRefused, errors.Is(err, gearman.ErrLost):
		return err
	}
	log.Warn("job goes back to its queue", "reason", err)
	return fmt.Errorf("%w: %w", gearman.ErrRetry, err)
}

// client returns what the chain has of a server.
func (h *chain) client(s gearman.Server) (*chainClient, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.clients[s]; c != nil {
		return c, nil
	}
	o := h.options
	o.Servers = []gearman.Server{s}
	client, err := gearman.NewClient(o)
	if err != nil {
		return nil, err
	}
	c := &chainClient{client, gearman.NewAdmin(s, o)}
	h.clients[s] = c
	return c, nil
}

// priorityOf returns the priority of the job that follows j.
func (h *chain) priorityOf(ctx context.Context, c *chainClient, j *gearman.Job) gearman.Priority {
	if !h.inherit {
		return h.priority
	}
	info, err := c.admin.Job(ctx, j.Handle())
	p := gearman.Normal
	if err == nil {
		p, err = gearman.ParsePriority(info.Priority)
	}
	if err != nil {
		h.log.Debug("priority not known", "handle", string(j.Handle()), "error", err)
	}
	return p
}

// chainUnique returns the unique of the job that follows one: what stands before
// the last ~ of that one's own, and a hash of it. A job that was done twice so has
// one that follows it, as long as that waits. The hash is also of the payload,
// because some servers give handles again after a restart.
func chainUnique(handle, unique string, payload []byte) string {
	const digits = 24
	root := unique
	if at := len(root) - digits - 1; at >= 0 && root[at] == '~' {
		if _, err := hex.DecodeString(root[at+1:]); err == nil {
			root = root[:at]
		}
	}
	hash := sha256.New()
	for _, part := range [][]byte{[]byte(handle), []byte(unique), payload} {
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		hash.Write(part)
	}
	return root + "~" + hex.EncodeToString(hash.Sum(nil)[:digits/2])
}
