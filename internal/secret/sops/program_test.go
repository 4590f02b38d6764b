package sops

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/getsops/sops/v3/version"

	"salvor/internal/secret/agekey"
)

// sopsProgram returns the real sops program of the library's version, built
// once into the user's cache folder. Where it can't be built the test is
// skipped with the reason.
func sopsProgram(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		unavailable(t, err.Error())
	}
	dir := filepath.Join(cache, "salvor-test", "sops-v"+version.Version)
	bin := filepath.Join(dir, "sops")
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	cmd := exec.CommandContext(t.Context(), "go", "install", "github.com/getsops/sops/v3/cmd/sops@v"+version.Version)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-trimpath") // as salvor is built, which shares most packages with it
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		unavailable(t, "build sops: "+string(out))
	}
	return bin
}

func unavailable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("SALVOR_LAB") == "require" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// A sopsRun runs the program in a folder with one identity, as an operator
// would.
type sopsRun struct {
	bin, dir, keyFile, gnupg string
}

func newSopsRun(t *testing.T, key agekey.Key) sopsRun {
	t.Helper()
	bin := sopsProgram(t)
	keyFile := filepath.Join(t.TempDir(), "keys.txt")
	if err := os.WriteFile(keyFile, key.IdentityFile().Reveal(), 0o600); err != nil {
		t.Fatal(err)
	}
	return sopsRun{bin: bin, dir: t.TempDir(), keyFile: keyFile}
}

// put writes a file into the folder and returns its path.
func (s sopsRun) put(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s sopsRun) run(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.bin, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "SOPS_AGE_KEY_FILE=" + s.keyFile, "GNUPGHOME=" + s.gnupg}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sops %v: %v: %s", args, err, stderr.Bytes())
	}
	return out
}
