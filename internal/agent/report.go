package agent

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/hostprep"
	"salvor/internal/machine/observe"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
)

// A reporter looks at a host.
type reporter struct{ *here.Host }

// report says what the host has and what is in use, as far as it can be read. devices are
// those asked for.
func (h reporter) report(ctx context.Context, facts hostprep.Facts, devices []string) *agentapi.Report {
	r := &agentapi.Report{Kernel: h.line(ctx, "/proc/sys/kernel/osrelease"), CPUs: runtime.NumCPU(), Memory: memory(h.line(ctx, "/proc/meminfo")), Free: h.free()}
	emulators, _ := filepath.Glob("/proc/sys/fs/binfmt_misc/qemu-*") // the pattern is well formed
	for _, e := range emulators {
		r.Emulated = append(r.Emulated, strings.TrimPrefix(filepath.Base(e), "qemu-"))
	}
	for _, path := range devices {
		if _, err := os.Stat(path); err == nil {
			r.Devices = append(r.Devices, path)
		}
	}
	engine, err := stack.ReportEngine(ctx, h.Stacks)
	if err == nil || here.NoEngine(err) && facts.Engine == "" {
		r.Engine = &engine
	}
	listeners, _ := observe.Listeners(ctx, h.Machine) // without them, ports count as free
	for _, l := range listeners {
		if !ofEngine(l, engine) {
			r.Listeners = append(r.Listeners, agentapi.Listener{HostPort: l.HostPort, Program: l.Program})
		}
	}
	return r
}

// coming returns the images of stacks that come to the host, by their names in the Compose
// files, as they are run.
func coming(spec agentapi.Host, there []agentapi.StackState) map[string]string {
	images := map[string]string{}
	for _, st := range spec.Stacks {
		deployed := func(s agentapi.StackState) bool { return s.Name == st.Name && s.Hash != "" && s.Epoch == st.Epoch }
		if st.Kept || st.Stopped || slices.ContainsFunc(there, deployed) {
			continue
		}
		for _, s := range st.Project.Services {
			if !s.Idle && !s.Build && s.Image != "" && !strings.Contains(s.Image, "$") {
				images[s.Image] = s.Reference(st.Images)
			}
		}
	}
	return images
}

// ofEngine reports whether a port is one that the engine listens on for a container. A
// docker-proxy without one is left of a power cut, and is removed before stacks start.
func ofEngine(l observe.Listener, e agentapi.Engine) bool {
	publishes := func(c agentapi.HostContainer) bool { return slices.Contains(c.Ports, l.HostPort) }
	return l.Program == "docker-proxy" || l.Program == "dockerd" && slices.ContainsFunc(e.Containers, publishes)
}

// line returns the first line of a file, "" where it can't be read.
func (h reporter) line(ctx context.Context, path string) string {
	content, _ := h.Machine.ReadFile(ctx, path)
	line, _, _ := strings.Cut(string(content), "\n")
	return line
}

// memory reads the first line of /proc/meminfo: "MemTotal:  8146092 kB". It is 0 for any other.
func memory(line string) int64 {
	fields := strings.Fields(line)
	if len(fields) != 3 || fields[0] != "MemTotal:" {
		return 0
	}
	kib, _ := strconv.ParseInt(fields[1], 10, 64)
	return kib << 10
}

// free returns what is free where volumes are or will be: Docker's, and those of binds, by
// the one that has more. It is 0 where that can't be read.
func (h reporter) free() int64 { return max(freeAbove(h.Paths.Volumes), freeAbove(h.Paths.State)) }

// freeAbove returns what is free in a folder, or in the first above it that is there.
func freeAbove(dir string) int64 {
	for ; ; dir = filepath.Dir(dir) {
		if free, err := snapshot.FreeAt(dir); err == nil || dir == filepath.Dir(dir) {
			return free
		}
	}
}
