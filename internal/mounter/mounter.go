package mounter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/rclone/rclone/cmd/mount2"
	"github.com/rclone/rclone/cmd/mountlib"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/vfs"
	"github.com/rclone/rclone/vfs/vfscommon"

	"salvor/internal/mount"
)

const (
	writeBack  = 5 * time.Second // after the last close of a file until it is uploaded
	cachedFor  = 7 * 24 * time.Hour
	listedFor  = 5 * time.Minute  // how long a listing is relied on, of a remote that does not report changes
	sharedFor  = 20 * time.Second // the same, where others write
	pollEvery  = time.Minute      // how often a remote that does is asked for them
	cleanEvery = 10 * time.Second
	attrFor    = time.Second
	transfers  = 4
	readChunk  = 16 << 20
	maxRequest = 1 << 20 // of the kernel (FUSE_MAX_MAX_PAGES)
)

// A Remote is rclone's file system of a folder.
type Remote = fs.Fs

// A Volume is one folder of a remote and where it is mounted.
type Volume struct {
	Name     string
	Open     func() (Remote, error) // reaches the folder
	Point    string
	ReadOnly bool
	Others   bool // other hosts write to it
	Line     Line // to the remote; nil for one without limits
}

// A Line passes on contents as fast as the remote may be sent and may send them.
type Line interface {
	Up(context.Context, io.Reader) io.Reader
	Down(context.Context, io.ReadCloser) io.ReadCloser
}

// Options are what a stack's mounts have in common.
type Options struct {
	Stack    string
	Cache    string // folder of the stack alone; no other process may use it meanwhile
	Keep     string // folder for copies of what was not uploaded when the mounter was killed
	Aside    string // folder for what can't be uploaded after that
	Size     int64  // of the cache
	KeepFree int64  // on its disk
	UID, GID uint32 // of all files and folders
	Umask    uint32
	May      func() bool // whether the remote may be changed now

	WriteBack time.Duration // 0 for five seconds
	Patience  time.Duration // how long a listing may lack what the remote has; 0 for 20 seconds
}

// A Mounter serves the volumes of one stack. A process has one at a time.
type Mounter struct {
	opt     Options
	volumes []*served
	Aside   mount.Unsent // what can't be uploaded, which was moved to Options.Aside

	left  mount.Unsent // what a killed mounter did not upload, to be written again
	ended chan error
}

// served is a volume that is mounted.
type served struct {
	Volume
	held   *held
	vfs    *vfs.VFS
	server *fuse.Server
}

var quiet = sync.OnceFunc(func() { fs.SetLogger(slog.DiscardHandler) })

// Start mounts the volumes. When it returns they can be used; after an error nothing is
// mounted. What a killed mounter left in the cache is mended first, and uploaded.
func Start(ctx context.Context, opt Options, volumes []Volume) (*Mounter, error) {
	quiet()
	if err := os.MkdirAll(opt.Cache, 0o700); err != nil {
		return nil, err
	}
	if err := config.SetCacheDir(opt.Cache); err != nil {
		return nil, err
	}
	m := &Mounter{opt: opt, ended: make(chan error, len(volumes))}
	remotes := map[string]Remote{}
	for _, v := range volumes {
		remote, err := v.Open()
		if err != nil {
			return nil, err
		}
		remotes[v.Name] = remote
	}
	var err error
	if m.Aside, err = mount.Mend(opt.Cache, opt.Keep, opt.Aside, changedOn(ctx, remotes)); err != nil {
		return nil, err
	}
	if m.left, err = mount.TakeOut(opt.Cache); err != nil {
		return nil, err
	}
	for _, v := range volumes {
		s, err := m.serve(ctx, v, remotes[v.Name])
		if err != nil {
			return nil, errors.Join(fmt.Errorf("mount %s: %w", v.Point, err), m.Close())
		}
		m.volumes = append(m.volumes, s)
	}
	return m, nil
}

// changedOn compares a cached file with the remote that it is from.
func changedOn(ctx context.Context, remotes map[string]Remote) mount.Changed {
	return func(f mount.File) (bool, error) {
		remote := remotes[f.Volume]
		if remote == nil {
			return true, nil // the stack has the volume no longer
		}
		o, err := remote.NewObject(ctx, f.Path)
		if absent(err) {
			return true, nil
		}
		return err == nil && fs.Fingerprint(ctx, o, false) != f.Based, err
	}
}

func (m *Mounter) serve(ctx context.Context, v Volume, remote Remote) (*served, error) {
	if err := mount.Prepare(v.Point); err != nil {
		return nil, err
	}
	remote, err := top(ctx, v, remote)
	if err != nil {
		return nil, err
	}
	may := m.opt.May
	if v.ReadOnly {
		may = func() bool { return false }
	}
	held := hold(v.Name, remote, may, v.Others)
	held.line = v.Line
	held.patience = cmp.Or(m.opt.Patience, held.patience)
	s := &served{Volume: v, held: held, vfs: vfs.New(settings(ctx), held, m.vfsOptions(v))}
	if s.vfs.Opt.CacheMode != vfscommon.CacheModeFull {
		s.vfs.Shutdown()
		return nil, fmt.Errorf("the cache in %s can't be used", m.opt.Cache)
	}
	err = m.again(ctx, s)
	var server *fuse.Server
	if err == nil {
		server, err = m.fuse(ctx, s)
	}
	if err != nil {
		s.vfs.Shutdown()
		return nil, err
	}
	s.server = server
	go func() {
		server.Serve()
		m.ended <- fmt.Errorf("%s was unmounted", v.Point)
	}()
	if err := server.WaitMount(); err != nil {
		s.vfs.Shutdown()
		return nil, err
	}
	return s, nil
}

// object returns the remote's object of a file, nil where rclone has none, as of a file whose
// upload failed.
func (s *served) object(path string) fs.Object {
	node, err := s.vfs.Stat(path)
	if err != nil {
		return nil
	}
	o, _ := node.DirEntry().(fs.Object)
	return o
}

// settings are rclone's, for this process.
func settings(ctx context.Context) context.Context {
	ctx, ci := fs.AddConfig(ctx)
	ci.Transfers = transfers
	ci.BufferSize = 1 << 20
	return ctx
}

func (m *Mounter) vfsOptions(v Volume) *vfscommon.Options {
	o := vfscommon.Opt
	o.CacheMode = vfscommon.CacheModeFull
	o.ReadOnly = v.ReadOnly
	o.Links = true
	o.UID, o.GID, o.Umask = m.opt.UID, m.opt.GID, vfscommon.FileMode(m.opt.Umask)
	o.CacheMaxAge, o.CachePollInterval = fs.Duration(cachedFor), fs.Duration(cleanEvery)
	o.CacheMaxSize, o.CacheMinFreeSpace = fs.SizeSuffix(m.opt.Size), fs.SizeSuffix(m.opt.KeepFree)
	o.DirCacheTime, o.PollInterval = fs.Duration(listedFor), fs.Duration(pollEvery)
	if v.Others {
		o.DirCacheTime = fs.Duration(sharedFor)
	}
	o.WriteBack = fs.Duration(writeBack)
	if m.opt.WriteBack > 0 {
		o.WriteBack = fs.Duration(m.opt.WriteBack)
	}
	o.ChunkSize = readChunk
	return &o
}

// fuse mounts a volume without asking any program to do it.
func (m *Mounter) fuse(ctx context.Context, s *served) (*fuse.Server, error) {
	opt := mountlib.Options{AllowOther: true, DefaultPermissions: true, AttrTimeout: fs.Duration(attrFor), DeviceName: mount.Source(m.opt.Stack, s.Name)}
	root, err := mount2.NewFS(s.vfs, &opt).Root()
	if err != nil {
		return nil, err
	}
	attr := attrFor
	options := &fusefs.Options{EntryTimeout: &attr, AttrTimeout: &attr, UID: m.opt.UID, GID: m.opt.GID}
	options.MountOptions = fuse.MountOptions{
		AllowOther: true, FsName: opt.DeviceName, Name: mount.Kind, Options: []string{"default_permissions"},
		DisableXAttrs: true, DisableReadDirPlus: true, MaxWrite: maxRequest, DirectMountStrict: true,
	}
	if s.ReadOnly {
		options.Options = append(options.Options, "ro")
	}
	raw := &files{
		RawFileSystem: fusefs.NewNodeFS(root, options), names: newNames(), ctx: ctx, held: s.held, object: s.object, fetch: s.fetch,
		notes: filepath.Join(m.opt.Cache, "vfsMeta", s.Name),
		room:  &room{cache: m.opt.Cache, most: m.opt.Size, free: m.opt.KeepFree / 2},
	}
	return fuse.NewServer(raw, s.Point, &options.MountOptions)
}

// Ended returns a channel that says why a volume is not mounted any more.
func (m *Mounter) Ended() <-chan error { return m.ended }

// Close unmounts everything. What is not uploaded stays in the cache, for the next start.
func (m *Mounter) Close() error {
	var errs []error
	for _, s := range m.volumes {
		errs = append(errs, unmount(s))
		s.vfs.Shutdown()
	}
	return errors.Join(errs...)
}
