package stack_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"salvor/internal/machine/machinetest"
	"salvor/internal/project"
	"salvor/internal/stack"
)

// TestIsolatedProjectsEnd: what killed runs have left is removed, and nothing else.
func TestIsolatedProjectsEnd(t *testing.T) {
	m := machinetest.NewFake()
	m.Say(0, "", "docker", "compose")
	m.Serve("unix", "/var/run/docker.sock", func(c net.Conn) {
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		const listed = `{"Id":%q,"Names":["/c"],"State":"running","Labels":{"com.docker.compose.project":%q}}`
		body := "[" + fmt.Sprintf(listed, "a", project.Isolated("shop")+"-db") + "," + fmt.Sprintf(listed, "b", "shop") + "]"
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	})
	if err := stack.EndIsolated(t.Context(), stack.New(m)); err != nil {
		t.Fatal(err)
	}
	var ran []string
	for _, c := range m.Calls() {
		if slices.Contains(c.Argv, "compose") {
			ran = append(ran, strings.Join(c.Argv, " "))
		}
	}
	if want := []string{"docker compose --project-name salvor-restore-shop-db down --remove-orphans"}; !slices.Equal(ran, want) {
		t.Errorf("ran %q, want %q", ran, want)
	}
}
