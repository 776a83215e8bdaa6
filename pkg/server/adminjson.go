package server

import (
	"encoding/json"
	"strconv"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// appendJSON appends a row as a line of JSON.
func appendJSON(dst []byte, row any) []byte {
	line, err := json.Marshal(row)
	if err != nil { // the rows are plain structs
		panic(err)
	}
	return append(append(dst, line...), '\n')
}

func (c *conn) adminStats(now int64, _ [][]byte) []byte {
	head := appendJSON(nil, c.s.serverStats())
	return answerRows(c, now, head, c.s.functionsListing(), func(dst []byte, f *queue.FunctionSnapshot) []byte {
		return appendJSON(dst, (*wire.FunctionStats)(f))
	})
}

func (c *conn) adminJobs(now int64, args [][]byte) []byte {
	filter, after, limit, wrong := parseJobFilter(args)
	if wrong != nil {
		return missingArgs(wrong)
	}
	jobs, err := c.s.jobsListing(filter, after, limit)
	if err != nil {
		return okOrErr(err)
	}
	return answerRows(c, now, nil, jobs, func(dst []byte, row *wire.Job) []byte { return appendJSON(dst, row) })
}

// parseJobFilter parses [FUNCTION|- [STATE|- [LIMIT [AFTER]]]]. A limit that is
// negative is none. It returns the argument that is wrong, if one is.
func parseJobFilter(args [][]byte) (f JobFilter, after []byte, limit int, wrong []byte) {
	limit = defaultJobs
	if len(args) > 0 && string(args[0]) != "-" {
		f.Function = string(args[0])
	}
	if len(args) > 1 && string(args[1]) != "-" {
		f.State = wire.JobState(args[1])
	}
	if f.checkState() != nil {
		return f, nil, 0, args[1]
	}
	if len(args) > 2 {
		n, err := strconv.Atoi(string(args[2]))
		if err != nil || n < 0 {
			return f, nil, 0, args[2]
		}
		if limit = n; n == 0 {
			limit = -1
		}
	}
	if len(args) > 3 {
		after = args[3]
	}
	return f, after, limit, nil
}

// adminJob answers with one job, and with its payload if the command asks for it.
func (c *conn) adminJob(now int64, args [][]byte) []byte {
	if len(args) == 1 {
		row, _, _, err := c.s.findJob(now, args[0])
		if err != nil {
			return okOrErr(err)
		}
		return append(appendJSON(nil, row), wire.ReplyEnd...)
	}
	if string(args[1]) != payloadWord {
		return missingArgs(args[1])
	}
	return c.replyWhenDone(func(answer func(reply []byte)) {
		c.s.readJob(now, args[0], func(row wire.Job, payload []byte, err error) {
			if err != nil {
				answer(okOrErr(err))
				return
			}
			reply := append(appendJSON(nil, row), payload...)
			answer(append(reply, wire.ReplyEnd...))
		})
	})
}

func (c *conn) adminSessions(now int64, _ [][]byte) []byte {
	return answerRows(c, now, nil, c.s.connsListing(true),
		func(dst []byte, row *wire.Session) []byte { return appendJSON(dst, row) })
}
