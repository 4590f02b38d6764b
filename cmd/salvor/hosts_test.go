package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/cli"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/version"
)

// hostsVariable names the folder with a script's hosts.
const hostsVariable = "SALVOR_TEST_HOSTS"

// folderHosts reaches the hosts of a script that has any: each is a folder, HOSTS/NAME,
// and one without does not answer. For `salvord VERB` it answers what is in VERB.json, a
// result, or in VERB.error; what is in VERB.then is there from then on, and with a file
// called gone it has no salvord. `docker` is a program there. What it was asked is in the
// file asked, a line each.
func folderHosts() cli.Connect {
	hosts := os.Getenv(hostsVariable)
	if hosts == "" {
		return nil
	}
	return func(_ context.Context, h fleet.Host) (machine.Machine, error) {
		dir := filepath.Join(hosts, h.Name)
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("%w: root@%s: no answer in 10s", machine.ErrUnreachable, h.Address)
		}
		return folderHost{h.Name, dir}, nil
	}
}

type folderHost struct{ name, dir string }

// Run implements machine.Machine.
func (h folderHost) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	switch c.Argv[0] {
	case hostpath.Salvord:
		if c.Argv[1] == "version" {
			return machine.Output{Stdout: []byte(version.String() + "\n")}, nil
		}
		return machine.Output{}, h.salvord(c)
	case "docker":
		return machine.Output{}, h.docker(ctx, c)
	}
	return machine.Output{}, &machine.ExitError{Argv: c.Argv, Code: 127}
}

func (h folderHost) salvord(c machine.Cmd) error {
	var req agentapi.Request
	if err := json.NewDecoder(c.Stdin).Decode(&req); err != nil {
		return err
	}
	if err := h.asked(c.Argv[1] + " " + string(req.Body)); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(h.dir, "gone")); err == nil {
		return &machine.ExitError{Argv: c.Argv, Code: 127}
	}
	answer := agentapi.Message{}
	result, err := os.ReadFile(filepath.Join(h.dir, c.Argv[1]+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		text, err := os.ReadFile(filepath.Join(h.dir, c.Argv[1]+".error"))
		if err != nil {
			return &machine.ExitError{Argv: c.Argv, Code: 2, Stderr: fmt.Appendf(nil, "salvord: unknown verb %q", c.Argv[1])}
		}
		answer.Error = &agentapi.Error{Code: 1, Text: strings.TrimSpace(string(text))}
	} else if err != nil {
		return err
	}
	var line bytes.Buffer
	if len(result) > 0 {
		if err := json.Compact(&line, about(result, c.Argv[1], req.Body)); err != nil {
			return err
		}
		answer.Result = line.Bytes()
	}
	if err := h.then(c.Argv[1]); err != nil {
		return err
	}
	return json.NewEncoder(c.Stdout).Encode(answer)
}

// about is what a host answers of the stacks that it is asked to give back; another
// answer is as it is.
func about(result []byte, verb string, question json.RawMessage) []byte {
	var asked agentapi.HandBack
	var answer, kept agentapi.HandedBack
	if verb != agentapi.VerbHandBack && verb != agentapi.VerbHandBackPlan || json.Unmarshal(question, &asked) != nil || json.Unmarshal(result, &answer) != nil {
		return result
	}
	for _, p := range answer.Stacks {
		if slices.ContainsFunc(asked.Stacks, func(st agentapi.HandBackStack) bool { return st.Name == p.Name }) {
			kept.Stacks = append(kept.Stacks, p)
		}
	}
	content, err := json.Marshal(kept)
	if err != nil {
		return result
	}
	return content
}

// then has the host be as it is after a verb.
func (h folderHost) then(verb string) error {
	after := filepath.Join(h.dir, verb+".then")
	files, err := os.ReadDir(after)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range files {
		content, readErr := os.ReadFile(filepath.Join(after, f.Name()))
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(h.dir, f.Name()), content, 0o600))
	}
	return err
}

func (h folderHost) docker(ctx context.Context, c machine.Cmd) error {
	if err := h.asked(strings.Join(c.Argv, " ")); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(h.dir, "docker"), c.Argv[1:]...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, &stderr
	if c.Stderr != nil {
		cmd.Stderr = c.Stderr
	}
	err := cmd.Run()
	if exit, is := errors.AsType[*exec.ExitError](err); is {
		return &machine.ExitError{Argv: c.Argv, Code: exit.ExitCode(), Stderr: stderr.Bytes()}
	}
	return err
}

func (h folderHost) asked(text string) error {
	f, err := os.OpenFile(filepath.Join(h.dir, "asked"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, text)
	return errors.Join(err, f.Close())
}

// ReadFile implements machine.Machine: the host has no files that anyone would read.
func (folderHost) ReadFile(_ context.Context, path string) ([]byte, error) {
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

// WriteFile implements machine.Machine.
func (folderHost) WriteFile(context.Context, string, io.Reader, fs.FileMode) error {
	return errors.ErrUnsupported
}

// Dial implements machine.Machine: what listens is the engine, whose containers are in
// containers.json and whose files are below root.
func (h folderHost) Dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containers/json", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(h.dir, "containers.json"))
	})
	mux.HandleFunc("HEAD /containers/{id}/archive", func(w http.ResponseWriter, r *http.Request) {
		info, err := os.Stat(filepath.Join(h.dir, "root", r.URL.Query().Get("path")))
		if err != nil {
			http.Error(w, "no such path", http.StatusNotFound)
			return
		}
		stat, _ := json.Marshal(map[string]any{"name": info.Name(), "mode": info.Mode()})
		w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(stat))
	})
	go http.Serve(&single{conn: far, closed: make(chan struct{})}, mux) // ends with the program
	return near, nil
}

// single is a listener with one connection.
type single struct {
	conn   net.Conn
	closed chan struct{}
}

// Accept implements net.Listener.
func (l *single) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (l *single) Close() error { return nil }

// Addr implements net.Listener.
func (l *single) Addr() net.Addr { return &net.UnixAddr{Name: "engine"} }

// Close implements machine.Machine.
func (folderHost) Close() error { return nil }
