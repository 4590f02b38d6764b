package local

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"

	"salvor/internal/machine"
)

// TestMain is this test's program and, with asHelper set, the one that a test
// runs on a terminal of its own.
func TestMain(m *testing.M) {
	if os.Getenv(asHelper) == "" {
		os.Exit(m.Run())
	}
	for range 2 {
		out, err := Machine{Inherit: true, Terminal: os.Stdin}.Run(context.Background(), machine.Cmd{Argv: []string{"sh", "-c", "stty -echo; read answer; echo \"$answer\""}})
		fmt.Printf("heard %q %v\n", out.Stdout, err)
	}
	stty := exec.CommandContext(context.Background(), "stty", "-a")
	stty.Stdin = os.Stdin
	state, err := stty.Output()
	fmt.Printf("echo is on: %v %v\n", strings.Contains(string(state), " echo "), err)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	fmt.Printf("mine %q %v\n", line, err)
}

const asHelper = "SALVOR_TEST_LEND"

// TestTerminalIsLentAndTakenBack has a program read from the terminal of the
// process that runs it, which reads from it afterwards.
func TestTerminalIsLentAndTakenBack(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asHelper+"=1")
	terminal, err := pty.Start(cmd) // in a session of its own, with the terminal as its controlling one
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if _, err := terminal.WriteString("one\ntwo\nthree\n"); err != nil {
		t.Fatal(err)
	}
	var said []string
	for lines := bufio.NewScanner(terminal); lines.Scan(); {
		said = append(said, lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	all := strings.Join(said, "\n")
	for _, want := range []string{`heard "one\n" <nil>`, `heard "two\n" <nil>`, `echo is on: true <nil>`, `mine "three\n" <nil>`} {
		if !strings.Contains(all, want) {
			t.Errorf("want %s in\n%s", want, all)
		}
	}
}
