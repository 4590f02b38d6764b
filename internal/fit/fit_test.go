package fit

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/project"
)

const gib = 1 << 30

// gamma is a host with a little of everything on it.
func gamma() Placing {
	return Placing{Host: "gamma", Arch: "amd64", Networks: []string{"shared"}, Report: &agentapi.Report{
		Kernel: "6.12.48+deb13-amd64", CPUs: 4, Memory: 8 * gib, Free: 100 * gib, Emulated: []string{"riscv64"}, Devices: []string{"/dev/net/tun"},
		Listeners: []agentapi.Listener{
			{HostPort: taken("", "tcp", 22), Program: "sshd"},
			{HostPort: taken("127.0.0.1", "tcp", 25), Program: "master"},
			{HostPort: taken("127.0.0.53", "udp", 53), Program: "systemd-resolved"},
			{HostPort: taken("0.0.0.0", "tcp", 111)},
		},
		Engine: &agentapi.Engine{
			Version: "26.1.5+dfsg1", Runtimes: []string{"io.containerd.runc.v2", "runc"}, Networks: []string{"bridge", "host", "none", "by-hand"}, Volumes: []string{"photos"},
			Containers: []agentapi.HostContainer{
				{Name: "nginx", Project: "proxy", Ports: []project.HostPort{taken("", "tcp", 80)}},
				{Name: "lone", Ports: []project.HostPort{taken("127.0.0.1", "tcp", 9000)}},
				{Name: "blog-web-1", Project: "blog", Ports: []project.HostPort{taken("", "tcp", 8080)}},
				{Name: "wiki-web-1", Project: "wiki", Ports: []project.HostPort{taken("", "tcp", 8081)}},
				{Name: "search", Project: "wiki"},
			},
		},
	}}
}

func taken(address, protocol string, port int) project.HostPort {
	return project.HostPort{Address: address, Protocol: protocol, First: port, Last: port}
}

// stack has one service, web.
func stack(name string, change ...func(*Stack)) Stack {
	st := Stack{Name: name, Rendered: project.Rendered{Asks: map[string]project.Asks{"web": {}}}}
	for _, c := range change {
		c(&st)
	}
	return st
}

func port(published string) func(*Stack) { return portOn("", published, "tcp") }

func portOn(address, published, protocol string) func(*Stack) {
	return func(st *Stack) {
		st.Published = append(st.Published, project.Published{Port: project.Port{Address: address, Published: published, Target: 1, Protocol: protocol}, Service: "web"})
	}
}

func asks(a project.Asks) func(*Stack) {
	return func(st *Stack) { st.Asks = map[string]project.Asks{"web": a} }
}

func container(name string) func(*Stack) {
	return func(st *Stack) { st.Containers = []project.Container{{Name: name, Service: "web"}} }
}

func network(name string, external bool) func(*Stack) {
	return func(st *Stack) { st.Networks = append(st.Networks, project.Network{Name: name, External: external}) }
}

func awaits(volume string) func(*Stack) {
	return func(st *Stack) { st.Awaited = append(st.Awaited, volume) }
}

func volume(name string) func(*Stack) {
	return func(st *Stack) { st.Volumes = append(st.Volumes, project.Volume{Name: name, Docker: name}) }
}

func data(bytes int64) func(*Stack) { return func(st *Stack) { st.Bytes = bytes } }

func needs(name string) func(*Stack) { return func(st *Stack) { st.Needs = []string{name} } }

func engine(version string) func(*Placing) {
	return func(p *Placing) { p.Report.Engine = &agentapi.Engine{Version: version} }
}

func stays(st Stack) func(*Placing) { return func(p *Placing) { p.Stays = append(p.Stays, st) } }

func TestMisfits(t *testing.T) {
	start := project.Feature{Name: "healthcheck.start_interval", Of: project.Engine, Since: "25.0"}
	image := project.Feature{Name: "a mount of type image", Of: project.Engine, Since: "28.0"}
	perfmon := project.Feature{Name: "cap_add: PERFMON", Of: project.Kernel, Since: "5.8"}
	for name, c := range map[string]struct {
		stack  Stack
		change func(*Placing)
		want   string // "" where it fits
	}{
		"nothing asked":                     {stack("a"), nil, ""},
		"a free port":                       {stack("a", port("8000")), nil, ""},
		"a container's port":                {stack("a", port("80")), nil, "port 80 is taken there by container nginx of project proxy"},
		"of a container without project":    {stack("a", port("9000")), nil, "port 9000 is taken there by container lone"},
		"another address than a container":  {stack("a", portOn("192.0.2.1", "9000", "tcp")), nil, ""},
		"a program's port":                  {stack("a", port("22")), nil, "port 22 is taken there by sshd"},
		"of a program that is not known":    {stack("a", port("111")), nil, "port 111 is taken there by a program outside of containers"},
		"a range":                           {stack("a", port("75-85")), nil, "port 80 is taken there by container nginx of project proxy"},
		"beside a range":                    {stack("a", port("81-85")), nil, ""},
		"the port that the engine chooses":  {stack("a", port("")), nil, ""},
		"udp":                               {stack("a", portOn("", "53", "udp")), nil, "port 53/udp is taken there by systemd-resolved"},
		"tcp next to udp":                   {stack("a", port("53")), nil, ""},
		"an address that is free":           {stack("a", portOn("127.0.0.1", "53", "udp")), nil, ""},
		"every address, one is taken":       {stack("a", portOn("0.0.0.0", "25", "tcp")), nil, "port 25 is taken there by master"},
		"of the other kind":                 {stack("a", portOn("::", "25", "tcp")), nil, ""},
		"all of one kind next to the other": {stack("a", portOn("::", "111", "tcp")), nil, ""},
		"its own container's port":          {stack("blog", port("8080")), nil, ""},
		"of a stack that leaves":            {stack("a", port("8081")), func(p *Placing) { p.Leaves = []string{"wiki"} }, ""},
		"of a project that is not a stack":  {stack("a", port("8081")), nil, "port 8081 is taken there by container wiki-web-1 of project wiki"},
		"of a stack that stays":             {stack("a", port("7000")), stays(stack("wiki", port("7000"))), "port 7000 is taken there by web of stack wiki"},
		"which the staying stack gives up":  {stack("a", port("8081")), stays(stack("wiki")), ""},
		"a container's name":                {stack("a", container("nginx")), nil, "the container name nginx is taken there by container nginx of project proxy"},
		"of one that stays when stopped":    {stack("a", container("search")), func(p *Placing) { p.Leaves = []string{"wiki"} }, "the container name search is taken there by container search of project wiki"},
		"its own container's name":          {stack("wiki", container("search")), nil, ""},
		"a name of a stack that stays":      {stack("a", container("db")), stays(stack("wiki", container("db"))), "the container name db is taken there by web of stack wiki"},
		"a network that is not there":       {stack("a", network("dmz", true)), nil, "it joins the network dmz, which is not there"},
		"one that is there":                 {stack("a", network("by-hand", true)), nil, ""},
		"one of fleet.yaml":                 {stack("a", network("shared", true)), nil, ""},
		"its own":                           {stack("a", network("a_default", false)), nil, ""},
		"another stack's":                   {stack("a", network("dmz", true)), stays(stack("wiki", network("dmz", false))), ""},
		"on a host without an engine":       {stack("a", network("dmz", true)), engine(""), "it joins the network dmz, which is not there"},
		"an external volume":                {stack("a", awaits("films")), nil, "it mounts the external volume films, which is not there"},
		"one that is there, too":            {stack("a", awaits("photos")), nil, ""},
		"another stack's volume":            {stack("a", awaits("films")), stays(stack("wiki", volume("films"))), ""},
		"which that waits for itself":       {stack("a", awaits("films")), stays(stack("wiki", volume("films"), awaits("films"))), "it mounts the external volume films, which is not there"},
		"no volume is there":                {stack("a", awaits("films")), func(p *Placing) { p.Report.Engine.Volumes = []string{} }, "it mounts the external volume films, which is not there"},
		"a salvord that names no volumes":   {stack("a", awaits("films")), func(p *Placing) { p.Report.Engine.Volumes = nil }, ""},
		"where the engine is silent":        {stack("a", network("dmz", true), port("80"), container("nginx")), func(p *Placing) { p.Report.Engine = nil }, ""},
		"a device":                          {stack("a", asks(project.Asks{Devices: []string{"/dev/net/tun"}})), nil, ""},
		"one that is not there":             {stack("a", asks(project.Asks{Devices: []string{"/dev/ttyUSB0"}})), nil, "web uses the device /dev/ttyUSB0, which is not there"},
		"its own platform":                  {stack("a", asks(project.Asks{Platform: "linux/amd64"})), nil, ""},
		"another platform":                  {stack("a", asks(project.Asks{Platform: "linux/arm64/v8"})), nil, "web is for linux/arm64/v8, and the host is linux/amd64"},
		"by the kernel's name":              {stack("a", asks(project.Asks{Platform: "x86_64"})), nil, ""},
		"one that the processor runs":       {stack("a", asks(project.Asks{Platform: "linux/386"})), nil, ""},
		"one that is emulated":              {stack("a", asks(project.Asks{Platform: "linux/riscv64"})), nil, ""},
		"another system":                    {stack("a", asks(project.Asks{Platform: "windows/amd64"})), nil, "web is for windows/amd64, and the host is linux/amd64"},
		"a runtime":                         {stack("a", asks(project.Asks{Runtime: "runc"})), nil, ""},
		"a runtime that is not there":       {stack("a", asks(project.Asks{Runtime: "nvidia"})), nil, "web has runtime: nvidia, which the engine there does not have"},
		"a runtime by its program":          {stack("a", asks(project.Asks{Runtime: "io.containerd.kata.v2"})), nil, ""},
		"an engine that is new enough":      {stack("a", asks(project.Asks{Features: []project.Feature{start}})), nil, ""},
		"an engine that is too old":         {stack("a", asks(project.Asks{Features: []project.Feature{image}})), nil, "web has a mount of type image, which needs Docker Engine 28.0; 26.1.5+dfsg1 is there"},
		"an engine to be installed":         {stack("a", asks(project.Asks{Features: []project.Feature{image}})), engine(""), ""},
		"a kernel that is too old":          {stack("a", asks(project.Asks{Features: []project.Feature{perfmon}})), func(p *Placing) { p.Report.Kernel = "5.4.0-26-generic" }, "web has cap_add: PERFMON, which needs Linux 5.8; 5.4.0-26-generic is there"},
		"its host's Compose refuses it": {stack("a"), func(p *Placing) {
			p.Refuses = []Misfit{{Stack: "a", Text: "no such key", Severity: finding.Fatal}, {Stack: "b", Text: "nor this"}}
		}, "no such key"},
		"processors":          {stack("a", asks(project.Asks{CPUs: 4})), nil, ""},
		"too many processors": {stack("a", asks(project.Asks{CPUs: 4.5})), nil, "web has cpus: 4.5, and the host has 4"},
		"memory":              {stack("a", asks(project.Asks{Memory: 8 * gib, MemoryLimit: 8 * gib})), nil, ""},
		"too much memory":     {stack("a", asks(project.Asks{Memory: 9 * gib})), nil, "it reserves 9.0 GiB of memory, and the host has 8.0 GiB"},
		"next to another's": {stack("a", asks(project.Asks{Memory: 5 * gib})), stays(stack("wiki", asks(project.Asks{Memory: 4 * gib}))),
			"it reserves 5.0 GiB of memory, and the host has 8.0 GiB, of which 4.0 GiB are reserved by wiki"},
		"a limit above the memory": {stack("a", asks(project.Asks{MemoryLimit: 9 * gib})), nil, "(warning) web may use 9.0 GiB of memory, and the host has 8.0 GiB"},
		"room":                     {stack("a", data(50*gib)), nil, ""},
		"no room for two copies":   {stack("a", data(51*gib)), nil, "its data is 51.0 GiB, and to restore it takes twice that; the host has 100.0 GiB free"},
		"room that is not known":   {stack("a", data(51*gib)), func(p *Placing) { p.Report.Free = 0 }, ""},
		"a host that reports nothing": {stack("a", port("22"), container("nginx"), network("dmz", true), data(900*gib)), func(p *Placing) {
			p.Report = nil
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := gamma()
			if c.change != nil {
				c.change(&p)
			}
			p.Comes = []Stack{c.stack}
			if diff := cmp.Diff(c.want, said(p.Misfits())); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func said(all []Misfit) (text string) {
	for i, m := range all {
		if i > 0 {
			text += "\n"
		}
		if m.Severity != finding.Fatal {
			text += "(" + string(m.Severity) + ") "
		}
		text += m.Text
	}
	return text
}

// TestStacksCompete: the first gets what two of them want, and one that does not fit
// takes nothing from those after it.
func TestStacksCompete(t *testing.T) {
	for name, c := range map[string]struct {
		comes []Stack
		want  []string
	}{
		"for a port":          {[]Stack{stack("a", port("7000")), stack("b", port("7000"))}, []string{"b: port 7000 is taken there by web of stack a"}},
		"for a name":          {[]Stack{stack("a", container("db")), stack("b", container("db"))}, []string{"b: the container name db is taken there by web of stack a"}},
		"for memory":          {[]Stack{stack("a", asks(project.Asks{Memory: 5 * gib})), stack("b", asks(project.Asks{Memory: 4 * gib})), stack("c", asks(project.Asks{Memory: gib}))}, []string{"b: it reserves 4.0 GiB of memory, and the host has 8.0 GiB, of which 5.0 GiB are reserved by a"}},
		"for room":            {[]Stack{stack("a", data(30*gib)), stack("b", data(21*gib)), stack("c", data(20*gib))}, []string{"b: its data is 21.0 GiB, and to restore it takes twice that; the host has 100.0 GiB free, of which other stacks need 60.0 GiB"}},
		"not with a misfit":   {[]Stack{stack("a", port("22"), port("7000"), data(50*gib)), stack("b", port("7000"), data(50*gib))}, []string{"a: port 22 is taken there by sshd"}},
		"a network comes too": {[]Stack{stack("a", network("dmz", true)), stack("b", network("dmz", false))}, nil},
		"not within one":      {[]Stack{stack("a", port("7000"), port("7001"))}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := gamma()
			p.Comes = c.comes
			var got []string
			for _, m := range p.Misfits() {
				got = append(got, m.Stack+": "+m.Text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestTwoStacksOfTheFleet want the same: the second does not fit.
func TestTwoStacksOfTheFleet(t *testing.T) {
	p := gamma()
	p.Stays = []Stack{stack("wiki", port("7000"), container("db"))}
	p.Comes = []Stack{stack("a", port("7000"), port("80"), container("db"))}
	var got []finding.Finding
	for _, m := range p.Misfits() {
		got = append(got, m.Finding("gamma", m.Fix))
	}
	of := func(text, fix string) finding.Finding {
		return finding.Finding{Code: finding.DoesNotFit, Severity: finding.Fatal, Subject: "gamma/a", Stack: "a", Text: text, Fix: fix}
	}
	want := []finding.Finding{
		of("port 7000 is taken there by web of stack wiki", "publish another port"),
		of("port 80 is taken there by container nginx of project proxy", "stop it there, or publish another port"),
		of("the container name db is taken there by web of stack wiki", "remove container_name: db"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestOffered compares images with what their registries have; one that was not asked about,
// or whose service names its platform, fits.
func TestOffered(t *testing.T) {
	with := func(image string, asks project.Asks) Stack {
		return Stack{Name: "a", Rendered: project.Rendered{Asks: map[string]project.Asks{"app": asks}, Project: project.Project{Services: []project.Service{{Name: "app", Image: image}}}}}
	}
	for name, c := range map[string]struct {
		st       Stack
		emulated []string
		want     string
	}{
		"there":          {with("both:1", project.Asks{}), nil, ""},
		"another's":      {with("arm:1", project.Asks{}), nil, "the image of app is there for linux/arm64, linux/arm/v7, and the host is linux/amd64"},
		"emulated":       {with("arm:1", project.Asks{}), []string{"aarch64"}, ""},
		"a platform":     {with("arm:1", project.Asks{Platform: "linux/amd64"}), nil, ""},
		"not asked":      {with("local:1", project.Asks{}), nil, ""},
		"does not start": {Stack{Name: "a", Rendered: project.Rendered{Project: project.Project{Services: []project.Service{{Name: "app", Image: "arm:1"}}}}}, nil, ""},
		"unknown":        {with("away:1", project.Asks{}), nil, "it is not known for which processors the image of app is there: no answer"},
	} {
		p := gamma()
		p.Report.Emulated = c.emulated
		p.Report.Images = []agentapi.ImageOffer{{Image: "both:1", Platforms: []string{"linux/amd64", "linux/arm64"}}, {Image: "arm:1", Platforms: []string{"linux/arm64", "linux/arm/v7"}}, {Image: "away:1", Unknown: "no answer"}}
		p.Comes = []Stack{c.st}
		got := ""
		for _, m := range p.Misfits() {
			got += m.Text
		}
		if got != c.want || Refused(p.Misfits()) != (c.want != "" && name != "unknown") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestShare: as few hosts as take everything, the largest first.
func TestShare(t *testing.T) {
	host := func(name string, free int64, change ...func(*Placing)) Placing {
		p := gamma()
		p.Host, p.Report.Free = name, free
		for _, c := range change {
			c(&p)
		}
		return p
	}
	without80 := func(p *Placing) { p.Report.Engine.Containers = nil }
	silent := func(p *Placing) { p.Report = nil }
	for name, c := range map[string]struct {
		hosts  []Placing
		stacks []Stack
		want   Spread
	}{
		"one takes all": {[]Placing{host("b", 10*gib), host("g", 100*gib)}, []Stack{stack("x", data(gib)), stack("y", data(20*gib))},
			Spread{To: map[string][]string{"g": {"x", "y"}}}},
		"two take all": {[]Placing{host("b", 50*gib, without80), host("g", 100*gib)}, []Stack{stack("x", port("80")), stack("y", data(40*gib))},
			Spread{To: map[string][]string{"b": {"x"}, "g": {"y"}}}},
		"the fewest, not the first": {[]Placing{host("a", 60*gib), host("b", 40*gib, without80), host("c", 30*gib)}, []Stack{stack("x", port("80"), data(15*gib)), stack("y", data(30*gib)), stack("z", data(5*gib))},
			Spread{To: map[string][]string{"a": {"y"}, "b": {"x", "z"}}}},
		"one fits nowhere": {[]Placing{host("b", 10*gib), host("g", 100*gib)}, []Stack{stack("x", port("22")), stack("y", data(gib))},
			Spread{To: map[string][]string{"g": {"y"}}, Left: []string{"x"}}},
		"each fits, not all of them": {[]Placing{host("b", 20*gib), host("g", 20*gib)}, []Stack{stack("x", data(9*gib)), stack("y", data(8*gib)), stack("z", data(7*gib))},
			Spread{To: map[string][]string{"b": {"x"}, "g": {"y"}}, Left: []string{"z"}}},
		"what needs another goes with it": {[]Placing{host("b", 50*gib, without80), host("g", 100*gib)}, []Stack{stack("x", port("80"), needs("y")), stack("y", data(20*gib))},
			Spread{To: map[string][]string{"b": {"x", "y"}}}},
		"and what joins its network": {[]Placing{host("b", 50*gib, without80), host("g", 100*gib)}, []Stack{stack("x", port("80"), network("dmz", false)), stack("y", data(20*gib), network("dmz", true)), stack("z", needs("y"))},
			Spread{To: map[string][]string{"b": {"x", "y", "z"}}}},
		"and what has its volume": {[]Placing{host("b", 50*gib, without80), host("g", 100*gib)}, []Stack{stack("x", port("80"), volume("films")), stack("y", data(20*gib), awaits("films"))},
			Spread{To: map[string][]string{"b": {"x", "y"}}}},
		"a host that reports is taken first": {[]Placing{host("a", 0, silent), host("g", gib)}, []Stack{stack("x")}, Spread{To: map[string][]string{"g": {"x"}}}},
		"nothing is known":                   {[]Placing{host("a", 0, silent)}, []Stack{stack("x", port("22"))}, Spread{To: map[string][]string{"a": {"x"}}}},
		"the fleet has no host":              {nil, []Stack{stack("x")}, Spread{To: map[string][]string{}, Left: []string{"x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Share(c.hosts, c.stacks)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
