package git

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"salvor/internal/fault"
)

func TestS30AFileOfACommitIsBoundedBeforeItIsRead(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	leaves := []leaf{{blob{"100644", "c0ffee"}, "stacks/notes/huge.bin"}}
	err = writeLeaves(bufio.NewReader(strings.NewReader("c0ffee blob 5000000000\nbegin")), leaves, root)
	if err == nil || !strings.HasPrefix(err.Error(), "stacks/notes/huge.bin: the file has 4768 MiB") || fault.Hint(err) == "" {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
	if _, err := root.Stat("stacks"); !os.IsNotExist(err) {
		t.Error("something was written")
	}
	if _, err := readObject(bufio.NewReader(strings.NewReader("c0ffee blob 2000000000\nbegin"))); err == nil || !strings.Contains(err.Error(), "1907 MiB") {
		t.Error(err)
	}
}
