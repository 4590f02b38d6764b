package restic

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRestoreSaysWhatResticSaid: restic's own lines are in the error, as 0.14 and
// 0.18 print them.
func TestRestoreSaysWhatResticSaid(t *testing.T) {
	for name, c := range map[string]struct {
		out     string
		want    string
		full    bool
		damaged bool
	}{
		"damaged, 0.14": {
			out:  "ignoring error for /d/f2: ciphertext verification failed\nFatal: There were 1 errors\n",
			want: "restic restore: exit 1: /d/f2: ciphertext verification failed", damaged: true,
		},
		"damaged, 0.18": {
			out:  `{"message_type":"error","error":{"message":"ciphertext verification failed"},"during":"restore","item":"/d/f2"}` + "\n" + `{"message_type":"exit_error","code":1,"message":"Fatal: There were 1 errors\n"}` + "\n",
			want: "restic restore: exit 1: /d/f2: ciphertext verification failed", damaged: true,
		},
		"full disk": {
			out: "ignoring error for /d/f1: write /d/f1: no space left on device\nignoring error for /d/f3: write /d/f3: no space left on device\n" +
				"ignoring error for /d/f3: write /d/f3: no space left on device\nignoring error for /d/f4: write /d/f4: no space left on device\n" +
				"ignoring error for /d/f5: write /d/f5: no space left on device\nFatal: There were 5 errors\n",
			want: "restic restore: exit 1: /d/f1: write /d/f1: no space left on device; /d/f3: write /d/f3: no space left on device; /d/f4: write /d/f4: no space left on device; and 1 more",
			full: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var report restoreReport
			if _, err := (&lineWriter{each: report.line}).Write([]byte(c.out)); err != nil {
				t.Fatal(err)
			}
			e := &RestoreError{Code: 1, Lines: report.lines, More: report.more}
			if diff := cmp.Diff(c.want, e.Error()); diff != "" || e.Full() != c.full || e.Damaged() != c.damaged {
				t.Errorf("full %v, damaged %v (-want +got):\n%s", e.Full(), e.Damaged(), diff)
			}
		})
	}
}

// TestRestoreSaysHowFarItIs: each line of status that 0.18 prints is passed on; while it
// plans, it does not know yet how much there is.
func TestRestoreSaysHowFarItIs(t *testing.T) {
	var got [][2]int64
	r := Restore{Progress: func(done, total int64) { got = append(got, [2]int64{done, total}) }}
	const out = `{"message_type":"status","percent_done":0,"total_files":1}
{"message_type":"status","percent_done":0.25,"total_files":2,"total_bytes":60000000,"bytes_restored":15000000}
{"message_type":"verbose_status","action":"restored","item":"/f","size":60000000}
{"message_type":"summary","total_files":2,"files_restored":2,"total_bytes":60000000,"bytes_restored":60000000}
`
	if _, err := (&lineWriter{each: r.status}).Write([]byte(out)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][2]int64{{15000000, 60000000}}, got); diff != "" {
		t.Error(diff)
	}
}
