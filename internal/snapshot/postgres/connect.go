package postgres

import (
	"context"
	_ "embed" // the script that runs in the container
	"errors"
	"fmt"
	"regexp"
	"strings"

	"salvor/internal/snapshot/method"
)

//go:embed connect.sh
var connectScript []byte

// endpoint is where and how a server in a container is reached.
type endpoint struct {
	Data     string // its data folder
	Bin      string // the folder of its programs; "" for those in PATH
	Host     string // the folder of its socket, or an address
	Port     string
	Role     string // superuser
	Password string // the variable of the container that has it; "" for none
	Database string // one that can be connected to
}

// noServer is what the script says where no server answers.
const noServer = "no Postgres server answers in this container"

// silence is a method.ErrSilent in the script's words.
type silence struct{ error }

// Is implements errors.Is.
func (silence) Is(target error) bool { return target == method.ErrSilent }

// silent wraps method.ErrSilent where that is what the script said.
func silent(err error) error {
	if err != nil && strings.Contains(err.Error(), noServer) {
		return silence{err}
	}
	return err
}

// askTries is how often the first command in a container is tried: on a busy host
// Docker was seen to fail it once, reason unknown. Only this question can be asked
// again without harm.
const askTries = 3

// find finds the server that runs in a container, and a superuser who may
// connect to it.
func find(ctx context.Context, r method.Runner) (session, error) {
	s := session{runner: r, options: optionsFor(0)}
	var out method.Answer
	var err error
	for range askTries {
		out = method.Answer{}
		err = method.Exec(ctx, r, method.Command{Argv: []string{shell, "-c", string(connectScript), "salvor", "owner"}, Stdout: &out})
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return s, fmt.Errorf("find the server: %w", silent(err))
	}
	if s.user = strings.TrimSpace(out.String()); !ownerForm.MatchString(s.user) {
		return s, fmt.Errorf("find the server: %.100q is not a user and a group", s.user)
	}
	out = method.Answer{}
	if err := method.Exec(ctx, r, method.Command{User: s.user, Argv: []string{shell, "-c", string(connectScript), "salvor", "find", s.options}, Stdout: &out}); err != nil {
		return s, fmt.Errorf("connect to the server: %w", silent(err))
	}
	fields := strings.Split(out.String(), "\x00")
	if len(fields) != 8 {
		return s, errors.New("connect to the server: its container gave no answer")
	}
	s.at = endpoint{fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6]}
	return s, nil
}

// ownerForm is "uid:gid".
var ownerForm = regexp.MustCompile(`^[0-9]{1,10}:[0-9]{1,10}$`)

// optionsFor returns PGOPTIONS that any server of at least that version takes, and
// that keep settings of roles and databases from disturbing a session.
func optionsFor(version int) string {
	options := "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 -c role=none"
	if version >= 90600 {
		options += " -c idle_in_transaction_session_timeout=0"
	}
	if version >= 140000 {
		options += " -c idle_session_timeout=0"
	}
	if version >= 170000 {
		options += " -c transaction_timeout=0 -c event_triggers=off"
	}
	return options
}
