package work

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"time"

	"gm/pkg/runner"
)

// keepers are the kept children of a worker.
type keepers struct {
	protocol Protocol
	slots    []*runner.Keeper // one for each slot; the first one is of slot 1
	timeout  time.Duration    // of a job; 0: none
}

// newKeepers returns the kept children of a worker, which are not started yet; nil
// if its children are not kept. It adapts the command to them. Closing kill kills
// them.
func newKeepers(c *Config, command *runner.Command, kill <-chan struct{}) *keepers {
	if c.Keep.Protocol == NotKept {
		return nil
	}
	adapted := runner.AdaptKept(command.Args, command.Shell)
	command.Args = adapted.Args
	if adapted.Hint != "" {
		c.JobLogger.Warn("kept command may not answer at once", "hint", adapted.Hint)
	}
	k := &keepers{protocol: c.Keep.Protocol, timeout: c.Timeout}
	for slot := 1; slot <= c.Jobs; slot++ {
		env := append(adapted.Env[:len(adapted.Env):len(adapted.Env)], "GM_SLOT="+strconv.Itoa(slot), "GM_KEEP="+string(k.protocol))
		if len(c.Functions) == 1 {
			env = append(env, "GEARMAN_FUNCTION="+c.Functions[0])
		}
		keeper := &runner.Keeper{
			Command:   command,
			Env:       env,
			MaxJobs:   c.Keep.MaxJobs,
			MaxAge:    c.Keep.MaxAge,
			MaxRSS:    c.Keep.MaxRSS,
			MaxAnswer: c.MaxPayload,
			Kill:      kill,
			Logger:    c.JobLogger.With("slot", slot),
		}
		switch k.protocol {
		case KeepNetstring:
			keeper.Framing = runner.Netstring
		case KeepJSON:
			keeper.MaxAnswer = c.MaxPayload/3*4 + keepJSONRoom
		}
		k.slots = append(k.slots, keeper)
	}
	return k
}

// closeKeepers ends the children. After ctx is done it stops them.
func (k *keepers) closeKeepers(ctx context.Context) {
	if k == nil {
		return
	}
	var closing sync.WaitGroup
	for _, keeper := range k.slots {
		closing.Go(func() { keeper.Close(ctx) })
	}
	closing.Wait()
}

// do does a job with the child of its slot. If res is OK, end is the error that
// ends the job, or nil.
func (k *keepers) do(ctx context.Context, j *job) (result []byte, res runner.Result, end error) {
	keeper := k.slots[j.slot-1]
	if k.protocol == KeepJSON {
		return doJSON(ctx, j, keeper, k.timeout)
	}
	res = keeper.Do(ctx, j.Payload(), func(answer []byte) (bool, error) {
		result = bytes.Clone(answer)
		return true, nil
	})
	return result, res, nil
}
