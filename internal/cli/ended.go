package cli

import (
	"errors"
	"fmt"

	"salvor/internal/machine"
)

// endedError is the end of a command that someone ran through salvor, which has said
// itself what there is to say: only its exit code is passed on.
type endedError int

// Error implements error.
func (e endedError) Error() string { return fmt.Sprintf("the command ended with exit code %d", int(e)) }

// ExitCode implements fault.Coder.
func (e endedError) ExitCode() int { return int(e) }

// ended is the error of such a command.
func ended(err error) error {
	exit, is := errors.AsType[*machine.ExitError](err)
	if is && exit.Code > 0 && exit.Code <= 255 {
		return endedError(exit.Code)
	}
	return err
}
