package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"salvor/internal/memdir"
	"salvor/internal/storage/drivetest"
)

// A scriptDrive is the emulated Google Drive of a script, which its programs reach through
// a proxy whose authority they trust.
type scriptDrive struct {
	*drivetest.Server
	later atomic.Int64 // by how much its clock is ahead
	root  string
	asked int
}

const (
	olga = "olga@example.com"
	ben  = "ben@example.com"
)

// driveCommands are what a script does with the Drive:
//
//	drive start                       begins one with the accounts of olga and ben
//	drive client ID FILE [KIND…]      makes an OAuth client (limited, testing) and its file
//	drive approves FILE EMAIL         enters the code that FILE shows, and allows it
//	drive denies FILE                 enters it, and refuses
//	drive browses FILE EMAIL          opens the address that FILE shows, and allows it
//	drive service EMAIL FILE [SCOPE…] makes a service account, which may act for others, and its key file
//	drive shared VAR EMAIL            makes a shared drive with one member, and sets VAR to its id
//	drive folder VAR                  makes a folder of olga's, and sets VAR to its id
//	drive room EMAIL BYTES            limits what an account may store
//	drive revokes EMAIL               ends all that an account has granted
//	drive later DURATION              lets time pass, also for the tokens that are shared
//	drive asked [N]                   checks how many tokens were asked for since the last time
func driveCommands(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "start" {
		startDrive(ts)
		return
	}
	d := ts.Value(driveKey{}).(**scriptDrive)
	if err := (*d).do(ts, args); err != nil {
		ts.Fatalf("drive %s: %v", args, err)
	}
}

type driveKey struct{}

func startDrive(ts *testscript.TestScript) {
	d := &scriptDrive{}
	d.Server = drivetest.New(drivetest.Options{
		Now: func() time.Time { return time.Now().Add(time.Duration(d.later.Load())) }, DevicePace: time.Second,
	})
	d.root = d.Account(olga, 0)
	d.Account(ben, 0)
	front, err := drivetest.NewFront(d.Server)
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	ts.Defer(stop)
	proxy, err := front.Proxy(ctx)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), front.CA, 0o600))
	ts.Setenv("HTTPS_PROXY", proxy)
	ts.Setenv("SSL_CERT_FILE", ts.MkAbs("ca.pem"))
	memory, err := memdir.New(memdir.Usual()...)
	ts.Check(err)
	ts.Defer(func() { _ = memdir.Remove(memory) })
	ts.Setenv("XDG_RUNTIME_DIR", memory)
	*ts.Value(driveKey{}).(**scriptDrive) = d
}

func (d *scriptDrive) do(ts *testscript.TestScript, args []string) error {
	what, args := args[0], args[1:]
	switch what {
	case "client":
		return d.client(args[0], ts.MkAbs(args[1]), args[2:])
	case "approves", "denies":
		return d.enters(ts.MkAbs(args[0]), args[1:])
	case "browses":
		return d.browses(ts, ts.MkAbs(args[0]), args[1])
	case "service":
		a, err := d.Service(args[0], args[2:]...)
		return errors.Join(err, os.WriteFile(ts.MkAbs(args[1]), []byte(a.Credentials), 0o600))
	case "shared":
		ts.Setenv(args[0], d.SharedDrive("family", map[string]drivetest.Role{args[1]: drivetest.Manager}))
	case "folder":
		ts.Setenv(args[0], d.MakeFolder(d.root, "backups"))
	case "room":
		limit, err := strconv.ParseInt(args[1], 10, 64)
		d.SetLimit(args[0], limit)
		return err
	case "revokes":
		d.RevokeAll(args[0])
	case "later":
		by, err := time.ParseDuration(args[0])
		d.later.Add(int64(by))
		return errors.Join(err, expire(ts.Getenv("XDG_RUNTIME_DIR")))
	case "asked":
		now := d.Counts()[drivetest.Token]
		got := now - d.asked
		if d.asked = now; len(args) > 0 && strconv.Itoa(got) != args[0] {
			return fmt.Errorf("%d tokens were asked for", got)
		}
	default:
		return errors.New("no such command")
	}
	return nil
}

// client makes an OAuth client and its file, as Google's console has it for download.
func (d *scriptDrive) client(id, file string, kinds []string) error {
	c := drivetest.Client{ID: id, Secret: "hunter2-" + id}
	for _, kind := range kinds {
		c.Limited, c.Testing = c.Limited || kind == "limited", c.Testing || kind == "testing"
	}
	d.AddClient(c)
	raw, err := json.Marshal(map[string]any{"installed": map[string]string{"client_id": c.ID, "client_secret": c.Secret, "project_id": "home"}})
	return errors.Join(err, os.WriteFile(file, raw, 0o600))
}

// enters waits for the code that a program shows, and answers it: as an account, or no.
func (d *scriptDrive) enters(file string, as []string) error {
	code, err := shownIn(file, `code ([0-9A-Z]{4}-[0-9A-Z]{4}) `)
	switch {
	case err != nil:
		return err
	case len(as) == 0 && !d.Deny(code), len(as) > 0 && !d.Approve(code, as[0]):
		return errors.New("no one waits for " + code)
	}
	return nil
}

// browses waits for the address that a program shows, and opens it.
func (d *scriptDrive) browses(ts *testscript.TestScript, file, email string) error {
	address, err := shownIn(file, `(?m)^(https://accounts\S+)$`)
	if err != nil {
		return err
	}
	d.SignIn(email)
	return browse(ts, address)
}

// browse opens an address as a browser does, with the script's proxy and authority.
func browse(ts *testscript.TestScript, address string) error {
	client, err := drivetest.Browser(ts.Getenv("HTTPS_PROXY"), ts.Getenv("SSL_CERT_FILE"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, page)
	}
	return err
}

// shownIn waits until a file has what a pattern's group fits.
func shownIn(file, pattern string) (string, error) {
	shown := regexp.MustCompile(pattern)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); <-tick.C {
		content, _ := os.ReadFile(file) // it may not be there yet
		if m := shown.FindSubmatch(content); m != nil {
			return string(m[1]), nil
		}
	}
	content, err := os.ReadFile(file)
	return "", errors.Join(err, fmt.Errorf("%s is not shown:\n%s", pattern, content))
}

var expiry = regexp.MustCompile(`"expiry":"[^"]*"`)

// expire has the access tokens that programs share end.
func expire(memory string) error {
	files, err := filepath.Glob(filepath.Join(memory, "salvor/tokens/*.json"))
	for _, file := range files {
		content, readErr := os.ReadFile(file)
		ended := expiry.ReplaceAll(content, []byte(`"expiry":"2020-01-01T00:00:00Z"`))
		err = errors.Join(err, readErr, os.WriteFile(file, ended, 0o600))
	}
	return err
}
