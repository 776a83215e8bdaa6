package wire

import "strconv"

// Magic is the first word of a packet. It gives the direction of the packet.
type Magic uint8

const (
	Request  Magic = iota // "\0REQ": to a job server
	Response              // "\0RES": from a job server
)

// String returns REQ or RES.
func (m Magic) String() string {
	if m == Request {
		return "REQ"
	}
	return "RES"
}

// Type is a packet type. The numbers and names are PROTOCOL's.
type Type uint32

// The packet types. 5 is unused.
const (
	CanDo             Type = 1
	CantDo            Type = 2
	ResetAbilities    Type = 3
	PreSleep          Type = 4
	Noop              Type = 6
	SubmitJob         Type = 7
	JobCreated        Type = 8
	GrabJob           Type = 9
	NoJob             Type = 10
	JobAssign         Type = 11
	WorkStatus        Type = 12
	WorkComplete      Type = 13
	WorkFail          Type = 14
	GetStatus         Type = 15
	EchoReq           Type = 16
	EchoRes           Type = 17
	SubmitJobBG       Type = 18
	Error             Type = 19
	StatusRes         Type = 20
	SubmitJobHigh     Type = 21
	SetClientID       Type = 22
	CanDoTimeout      Type = 23
	AllYours          Type = 24
	WorkException     Type = 25
	OptionReq         Type = 26
	OptionRes         Type = 27
	WorkData          Type = 28
	WorkWarning       Type = 29
	GrabJobUniq       Type = 30
	JobAssignUniq     Type = 31
	SubmitJobHighBG   Type = 32
	SubmitJobLow      Type = 33
	SubmitJobLowBG    Type = 34
	SubmitJobSched    Type = 35
	SubmitJobEpoch    Type = 36
	SubmitReduceJob   Type = 37
	SubmitReduceJobBG Type = 38
	GrabJobAll        Type = 39
	JobAssignAll      Type = 40
	GetStatusUnique   Type = 41
	StatusResUnique   Type = 42
)

const maxType = StatusResUnique

// Short names for the table below.
const (
	req, res        = 1 << Request, 1 << Response
	opaque, textual = true, false

	argFunc      = "function"
	argUnique    = "unique"
	argHandle    = "handle"
	argWorkload  = "workload"
	argReducer   = "reducer"
	argAggregate = "aggregate"
	argDatum     = "data"
	argNumer     = "numerator"
	argDenom     = "denominator"
	argKnown     = "known"
	argRunning   = "running"
	argOption    = "option"
	argEpoch     = "epoch"
	argTimeout   = "timeout"
	argClientID  = "id"
)

// spec is the protocol's definition of one packet type.
type spec struct {
	name   string
	magics uint8    // the allowed directions
	opaque bool     // the last argument is data: any bytes, NULs too
	args   []string // names of the arguments, in order
}

// specs is indexed by Type. An empty name marks an unused number.
var specs = [maxType + 1]spec{
	CanDo:           {"CAN_DO", req, textual, []string{argFunc}},
	CantDo:          {"CANT_DO", req, textual, []string{argFunc}},
	ResetAbilities:  {"RESET_ABILITIES", req, textual, nil},
	PreSleep:        {"PRE_SLEEP", req, textual, nil},
	Noop:            {"NOOP", res, textual, nil},
	SubmitJob:       {"SUBMIT_JOB", req, opaque, []string{argFunc, argUnique, argWorkload}},
	JobCreated:      {"JOB_CREATED", res, textual, []string{argHandle}},
	GrabJob:         {"GRAB_JOB", req, textual, nil},
	NoJob:           {"NO_JOB", res, textual, nil},
	JobAssign:       {"JOB_ASSIGN", res, opaque, []string{argHandle, argFunc, argWorkload}},
	WorkStatus:      {"WORK_STATUS", req | res, textual, []string{argHandle, argNumer, argDenom}},
	WorkComplete:    {"WORK_COMPLETE", req | res, opaque, []string{argHandle, argDatum}},
	WorkFail:        {"WORK_FAIL", req | res, textual, []string{argHandle}},
	GetStatus:       {"GET_STATUS", req, textual, []string{argHandle}},
	EchoReq:         {"ECHO_REQ", req, opaque, []string{argDatum}},
	EchoRes:         {"ECHO_RES", res, opaque, []string{argDatum}},
	SubmitJobBG:     {"SUBMIT_JOB_BG", req, opaque, []string{argFunc, argUnique, argWorkload}},
	Error:           {"ERROR", res, opaque, []string{"code", "text"}},
	StatusRes:       {"STATUS_RES", res, textual, []string{argHandle, argKnown, argRunning, argNumer, argDenom}},
	SubmitJobHigh:   {"SUBMIT_JOB_HIGH", req, opaque, []string{argFunc, argUnique, argWorkload}},
	SetClientID:     {"SET_CLIENT_ID", req, textual, []string{argClientID}},
	CanDoTimeout:    {"CAN_DO_TIMEOUT", req, textual, []string{argFunc, argTimeout}},
	AllYours:        {"ALL_YOURS", req, textual, nil},
	WorkException:   {"WORK_EXCEPTION", req | res, opaque, []string{argHandle, argDatum}},
	OptionReq:       {"OPTION_REQ", req, textual, []string{argOption}},
	OptionRes:       {"OPTION_RES", res, textual, []string{argOption}},
	WorkData:        {"WORK_DATA", req | res, opaque, []string{argHandle, argDatum}},
	WorkWarning:     {"WORK_WARNING", req | res, opaque, []string{argHandle, argDatum}},
	GrabJobUniq:     {"GRAB_JOB_UNIQ", req, textual, nil},
	JobAssignUniq:   {"JOB_ASSIGN_UNIQ", res, opaque, []string{argHandle, argFunc, argUnique, argWorkload}},
	SubmitJobHighBG: {"SUBMIT_JOB_HIGH_BG", req, opaque, []string{argFunc, argUnique, argWorkload}},
	SubmitJobLow:    {"SUBMIT_JOB_LOW", req, opaque, []string{argFunc, argUnique, argWorkload}},
	SubmitJobLowBG:  {"SUBMIT_JOB_LOW_BG", req, opaque, []string{argFunc, argUnique, argWorkload}},
	SubmitJobSched: {
		"SUBMIT_JOB_SCHED", req, opaque,
		[]string{argFunc, argUnique, "minute", "hour", "mday", "month", "wday", argWorkload},
	},
	SubmitJobEpoch: {"SUBMIT_JOB_EPOCH", req, opaque, []string{argFunc, argUnique, argEpoch, argWorkload}},
	// PROTOCOL gives the reduce packets four arguments. libgearman, the one
	// client that sends them, and gearmand have five: an "aggregate" before the
	// workload, which is always empty. See Packet.cut.
	SubmitReduceJob: {
		"SUBMIT_REDUCE_JOB", req, opaque,
		[]string{argFunc, argUnique, argReducer, argAggregate, argWorkload},
	},
	SubmitReduceJobBG: {
		"SUBMIT_REDUCE_JOB_BACKGROUND", req, opaque,
		[]string{argFunc, argUnique, argReducer, argAggregate, argWorkload},
	},
	GrabJobAll:      {"GRAB_JOB_ALL", req, textual, nil},
	JobAssignAll:    {"JOB_ASSIGN_ALL", res, opaque, []string{argHandle, argFunc, argUnique, argReducer, argWorkload}},
	GetStatusUnique: {"GET_STATUS_UNIQUE", req, textual, []string{argUnique}},
	StatusResUnique: {
		"STATUS_RES_UNIQUE", res, textual,
		[]string{argUnique, argKnown, argRunning, argNumer, argDenom, "clients"},
	},
}

// Valid reports whether t is a packet type of the protocol.
func (t Type) Valid() bool { return t <= maxType && specs[t].name != "" }

// String returns PROTOCOL's name, or type(N) for a number it does not have.
func (t Type) String() string {
	if !t.Valid() {
		return "type(" + strconv.FormatUint(uint64(t), 10) + ")"
	}
	return specs[t].name
}

// Goes reports whether packets of type t may have the magic m.
func (t Type) Goes(m Magic) bool { return t.Valid() && specs[t].magics&(1<<m) != 0 }

// NumArgs returns how many arguments a packet of type t has.
func (t Type) NumArgs() int {
	if !t.Valid() {
		return 0
	}
	return len(specs[t].args)
}
