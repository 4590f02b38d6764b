package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"

	"salvor/internal/fleet"
	"salvor/internal/mount"
	"salvor/internal/mounter"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

// childEnv has this test's program be a mounter, as asked on its standard input.
const childEnv = "SALVOR_LAB_MOUNTER"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	if err := mountAsAsked(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "mounter:", err)
		os.Exit(1)
	}
}

// A mountJob is what a mounter is asked to be. The remote is a folder of the emulated Drive.
type mountJob struct {
	Proxy, CA, Token, Root           string
	Point, Cache, Keep, Aside, Stamp string
	Size, KeepFree                   int64
	ReadOnly                         bool
}

const flushLimit = 4 * time.Minute

// mountAsAsked mounts, reports so, and uploads what waits when its standard input ends.
func mountAsAsked(ctx context.Context) error {
	in := json.NewDecoder(os.Stdin)
	var j mountJob
	if err := in.Decode(&j); err != nil {
		return err
	}
	ctx, config := fs.AddConfig(ctx)
	config.HTTPProxy, config.CaCert = j.Proxy, []string{j.CA}
	m, err := mounter.Start(ctx, mounter.Options{
		Stack: "photos", Cache: j.Cache, Keep: j.Keep, Aside: j.Aside, Size: j.Size, KeepFree: j.KeepFree,
		May: mount.Fresh(j.Stamp), WriteBack: 500 * time.Millisecond,
	}, []mounter.Volume{{
		Name: "library", Point: j.Point, ReadOnly: j.ReadOnly, Others: j.ReadOnly,
		Open: func() (mounter.Remote, error) {
			return storage.Computer{}.Mountable(ctx, j.remotes(), fleet.Location{Remote: "drive", Path: "library"})
		},
	}})
	if err != nil {
		return err
	}
	fmt.Println("mounted")
	_ = in.Decode(&j) // ends with the input
	last, cancel := context.WithTimeout(ctx, flushLimit)
	defer cancel()
	if !j.ReadOnly {
		m.Upload(last)
	}
	return m.Close()
}

func (j mountJob) remotes() storage.Remotes {
	options := map[string]secret.Value{}
	for option, value := range map[string]string{
		"client_id": driveClient, "client_secret": driveSecret, "token": j.Token, "root_folder_id": j.Root, "scope": "drive",
		"pacer_min_sleep": "1ms", "pacer_burst": "1000",
	} {
		options[option] = secret.NewString(value)
	}
	return storage.Remotes{"drive": {Type: "drive", Options: options}}
}

// A mounterChild is a mounter in a process of its own.
type mounterChild struct {
	cmd *osexec.Cmd
	end func() error
}

// startMounter returns when the volume is mounted.
func startMounter(ctx context.Context, j mountJob) (*mounterChild, error) {
	cmd := osexec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m := &mounterChild{cmd, in.Close}
	if err := json.NewEncoder(in).Encode(j); err != nil {
		m.kill()
		return nil, err
	}
	said := make([]byte, len("mounted"))
	if _, err := out.Read(said); err != nil || string(said) != "mounted" {
		m.kill()
		return nil, errors.Join(errors.New("the mounter did not mount"), err)
	}
	return m, nil
}

// kill ends the mounter as a crash would.
func (m *mounterChild) kill() {
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
}

// flush ends the mounter in order: it uploads what waits.
func (m *mounterChild) flush() error { return errors.Join(m.end(), m.cmd.Wait()) }
