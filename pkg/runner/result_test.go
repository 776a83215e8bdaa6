package runner

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

func TestNoRoomForAChildIsTemporary(t *testing.T) {
	for errno, code := range map[syscall.Errno]int{
		syscall.EAGAIN:       codeTemporary,
		syscall.ENOMEM:       codeTemporary,
		syscall.EMFILE:       codeTemporary,
		syscall.ENFILE:       codeTemporary,
		syscall.ENOSPC:       codeTemporary,
		syscall.EDQUOT:       codeTemporary,
		syscall.EIO:          codeTemporary,
		syscall.EBUSY:        codeTemporary,
		syscall.EINTR:        codeTemporary,
		syscall.ENOBUFS:      codeTemporary,
		syscall.ESTALE:       codeTemporary,
		syscall.ETIMEDOUT:    codeTemporary,
		syscall.ETXTBSY:      codeTemporary,
		syscall.ENOENT:       codeNotFound,
		syscall.ENOTDIR:      codeNotFound,
		syscall.EACCES:       codeNotExecutable,
		syscall.EPERM:        codeNotExecutable,
		syscall.EISDIR:       codeNotExecutable,
		syscall.ENOEXEC:      codeNotExecutable,
		syscall.E2BIG:        codeNotExecutable,
		syscall.ELOOP:        codeNotExecutable,
		syscall.ENAMETOOLONG: codeNotExecutable,
		syscall.EINVAL:       codeNotExecutable,
	} {
		for _, err := range []error{errno, os.NewSyscallError("pipe", errno), &os.PathError{Op: "open", Path: os.DevNull, Err: errno}} {
			res := Result{StartErr: newStartError("prog", err)}
			if got := res.Code(); got != code || res.Temporary() != (code == codeTemporary) {
				t.Errorf("%T %v: code %d, temporary %v, want code %d", err, errno, got, res.Temporary(), code)
			}
		}
	}
	for _, err := range []error{errors.New("empty command"), fmt.Errorf("start command: %w", errors.ErrUnsupported)} {
		if res := (Result{StartErr: err}); res.Code() != codeNotExecutable {
			t.Errorf("%v: code %d, want %d", err, res.Code(), codeNotExecutable)
		}
	}
}
