package docker

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/project"
)

func TestParseContainers(t *testing.T) {
	answer := `[{"Id":"b","Names":["/app-web-1"],"Image":"example/web:1","ImageID":"sha256:1","State":"running","Status":"Up 2 minutes (healthy)",
	"Ports":[{"IP":"127.0.0.1","PrivatePort":53,"PublicPort":5353,"Type":"udp"},{"PrivatePort":443,"Type":"tcp"},
	{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}],
	"Labels":{"com.docker.compose.project":"app","com.docker.compose.service":"web","com.docker.compose.config-hash":"h","com.docker.compose.oneoff":"False"},
	"Mounts":[{"Type":"bind","Source":"/run/salvor/gate/app","Destination":"/.salvor-gate"},
	{"Type":"volume","Name":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","Destination":"/anon"},{"Type":"volume","Name":"app_db","Destination":"/db"}]},
	{"Id":"a","Names":["/app-job-1"],"State":"exited","Status":"Exited (127) 3 hours ago","Labels":{"com.docker.compose.project":"app","com.docker.compose.service":"job"}}]`
	got, err := parseContainers([]byte(answer))
	if err != nil {
		t.Fatal(err)
	}
	want := []Container{
		{ID: "a", Name: "app-job-1", Project: "app", Service: "job", State: "exited", Exit: 127},
		{ID: "b", Name: "app-web-1", Project: "app", Service: "web", Hash: "h", Image: "example/web:1", ImageID: "sha256:1", State: "running", Health: "healthy", Targets: []string{"/.salvor-gate", "/anon", "/db"},
			Ports:   []string{"127.0.0.1:5353->53/udp", "8080->80"},
			Taken:   []project.HostPort{{Address: "127.0.0.1", Protocol: "udp", First: 5353, Last: 5353}, {Address: "0.0.0.0", Protocol: "tcp", First: 8080, Last: 8080}, {Address: "::", Protocol: "tcp", First: 8080, Last: 8080}},
			Volumes: map[string]string{"/anon": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestParseAbout(t *testing.T) {
	got, err := parseAbout([]byte(`{"ServerVersion":"26.1.5+dfsg1","Runtimes":{"runc":{"path":"runc"},"nvidia":{"path":"x"}}}`), []byte(`[{"Name":"host"},{"Name":"bridge"}]`))
	if diff := cmp.Diff(About{Version: "26.1.5+dfsg1", Runtimes: []string{"nvidia", "runc"}, Networks: []string{"bridge", "host"}}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestParseDetailHealth(t *testing.T) {
	for name, tc := range map[string]struct{ health, config, want string }{
		"no check":                       {`null`, `{}`, ""},
		"healthy":                        {`{"Status":"healthy","Log":[{"ExitCode":0}]}`, `{}`, "healthy"},
		"failed as often as allowed":     {`{"Status":"unhealthy","FailingStreak":3,"Log":[{"ExitCode":1}]}`, `{}`, "unhealthy"},
		"paused when good":               {`{"Status":"unhealthy","FailingStreak":0,"Log":[{"ExitCode":1},{"ExitCode":0}]}`, `{}`, "healthy"},
		"paused before the first check":  {`{"Status":"unhealthy","FailingStreak":0,"Log":[]}`, `{}`, "starting"},
		"paused after one failure":       {`{"Status":"unhealthy","FailingStreak":1,"Log":[{"ExitCode":1}]}`, `{}`, "starting"},
		"one failure is all it may have": {`{"Status":"unhealthy","FailingStreak":1,"Log":[{"ExitCode":1}]}`, `{"Healthcheck":{"Retries":1}}`, "unhealthy"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseDetail([]byte(`{"State":{"Health":` + tc.health + `},"Config":` + tc.config + `}`))
			if err != nil || got.Health != tc.want {
				t.Errorf("got %q, %v, want %q", got.Health, err, tc.want)
			}
		})
	}
}

func TestParseAwaits(t *testing.T) {
	got := parseAwaits("db:service_healthy:false,cache:service_started:true,queue:service_healthy:true")
	if diff := cmp.Diff([]string{"db", "queue"}, got); diff != "" || parseAwaits("") != nil {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// FuzzEngine feeds the parsers of the engine's answers.
func FuzzEngine(f *testing.F) {
	f.Add([]byte(`[{"Id":"a","Names":["/x"],"Status":"Exited (1) now","Mounts":[{"Type":"volume"}]}]`))
	f.Add([]byte(`{"RestartCount":1,"State":{"StartedAt":"2026-01-02T03:04:05Z","Health":{"Log":[{"Output":"x"}]}},"RepoDigests":["a@sha256:1"]}`))
	f.Fuzz(func(_ *testing.T, answer []byte) {
		// only panics matter: each says whether it could read the answer
		_, _ = parseContainers(answer)
		_, _ = parseDetail(answer)
		_, _ = parseImage(answer)
		_, _ = parseAbout(answer, answer)
		_, _ = parsePathStat(string(answer))
	})
}

// TestParsePlatforms leaves out attestations, and an image that does not say for what it is.
func TestParsePlatforms(t *testing.T) {
	got, err := parsePlatforms([]byte(`{"Descriptor":{"digest":"sha256:1"},"Platforms":[{"architecture":"amd64","os":"linux"},{"architecture":"arm64","os":"linux","variant":"v8"},{"architecture":"unknown","os":"unknown"},{"architecture":"","os":""}]}`))
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64/v8"}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}
