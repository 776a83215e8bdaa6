package wire

// Codes of ERROR packets. They are libgearman's names for its return codes.
const (
	CodeInvalidMagic    = "INVALID_MAGIC"
	CodeInvalidCommand  = "INVALID_COMMAND"
	CodeInvalidPacket   = "INVALID_PACKET"
	CodeInvalidArgument = "INVALID_ARGUMENT"
	CodeInvalidFunction = "INVALID_FUNCTION_NAME"
	CodeTooLarge        = "ARGUMENT_TOO_LARGE"
	CodeDataTooLarge    = "DATA_TOO_LARGE"
	CodeQueueError      = "QUEUE_ERROR"
	CodeShutdown        = "SHUTDOWN"
	CodeJobNotFound     = "JOB_NOT_FOUND"
	CodeUnknownOption   = "UNKNOWN_OPTION"
)
