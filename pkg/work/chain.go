package work

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
	"time"

	"gm/pkg/gearman"
)

// chainPatience is how long a job waits, at its end, until its server takes the
// next job: until the queue of that one has room, or the store works again.
const chainPatience = 30 * time.Second

// A chain submits the next job of each job: the result to one function, or the
// payload of a job that failed to another. It does so before the job itself ends,
// on the server of the job, which is there and has taken such bytes before. So no
// job ends without the job that follows it.
//
// It is safe for concurrent use. A nil chain submits nothing.
type chain struct {
	Chain
	options gearman.Options // of the clients
	log     *slog.Logger
	clients map[gearman.Server]*gearman.Client // of one server each
}

// newChain returns the chain of a worker; nil if it has none.
func newChain(c Config) *chain {
	if c.Chain.Next == "" && c.Chain.OnFail == "" {
		return nil
	}
	h := &chain{Chain: c.Chain, options: c.Options, log: c.JobLogger}
	h.options.Logger = nil // the worker logs which server is lost
	return h
}

// prepare makes a client for each server. It connects when it is first used.
func (h *chain) prepare(servers []gearman.Server) error {
	if h == nil {
		return nil
	}
	h.clients = map[gearman.Server]*gearman.Client{}
	for _, server := range servers {
		o := h.options
		o.Servers = []gearman.Server{server}
		client, err := gearman.NewClient(o)
		if err != nil {
			return err
		}
		h.clients[server] = client
	}
	return nil
}

// closeClients closes the clients. No job may run then.
func (h *chain) closeClients() {
	if h == nil {
		return
	}
	for _, client := range h.clients {
		client.Close()
	}
}

// handOn submits the job that follows j, which has ended with a result or with
// err. It returns err, or another error if the next job was not submitted.
func (h *chain) handOn(ctx context.Context, j *job, result []byte, err error) error {
	if h == nil {
		return err
	}
	if err == nil {
		err = h.submitResult(ctx, j, result)
	}
	switch {
	case err == nil, errors.Is(err, gearman.ErrRetry), errors.Is(err, gearman.ErrLost):
		return err
	case errors.Is(context.Cause(ctx), gearman.ErrCancelled):
		return err // a cancelled job has no next one
	}
	if unsent := h.submitPayload(ctx, j); unsent != nil {
		return fmt.Errorf("%w: %w", unsent, err)
	}
	return err
}

// submitResult submits the result of a job to Next: the parts that were sent, and
// the rest of it.
func (h *chain) submitResult(ctx context.Context, j *job, rest []byte) error {
	if j.sent == nil {
		return nil
	}
	result, err := j.sent.whole(rest)
	if err == nil {
		err = h.submit(ctx, j, h.Next, result)
	}
	if err == nil || errors.Is(err, gearman.ErrRetry) || errors.Is(err, gearman.ErrLost) {
		return err
	}
	return &failedJob{code: codeRefused, reason: fmt.Errorf("not handed on to %s: %w", h.Next, err)}
}

// submitPayload submits the payload of a job that has failed to OnFail. An error
// gives the job back: it must not end without the next one.
func (h *chain) submitPayload(ctx context.Context, j *job) error {
	if h.OnFail == "" || h.OnFail == j.Function() {
		return nil
	}
	payload := bytes.Clone(j.Payload()) // a client may still write it after its time is up
	err := h.submit(ctx, j, h.OnFail, payload)
	if err == nil || errors.Is(err, gearman.ErrRetry) || errors.Is(err, gearman.ErrLost) {
		return err
	}
	return &returnedJob{reason: fmt.Errorf("not handed on to %s: %w", h.OnFail, err), alarm: true}
}

// submit submits the next job to the server of j. The error is a returnedJob or
// wraps ErrLost, or it is that of a server that will never take the job.
func (h *chain) submit(ctx context.Context, j *job, function string, payload []byte) error {
	log := h.log.With("handle", string(j.Handle()), "function", j.Function(), "next", function)
	priority := h.Priority
	if h.InheritPriority {
		priority = j.priority
	}
	handle, err := h.clients[j.Server()].Background(ctx, &gearman.Task{
		Function: function,
		Unique:   chainUnique(string(j.Handle()), j.Unique(), j.Payload()),
		Payload:  payload,
		Priority: priority,
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
	case errors.As(err, &refused) && (refused.TooLarge() || refused.Invalid()), errors.Is(err, gearman.ErrLost):
		return err
	}
	return &returnedJob{reason: err, alarm: true}
}

// chainUnique returns the unique of the job that follows a job: the unique of that
// one, up to the last ~ if it has one, and ~ and a hash of that one. A job that was
// done twice is so followed by one job, as long as that waits. The hash is also of
// the payload, because some servers use handles again after a restart.
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
