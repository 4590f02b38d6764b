package route

import (
	"fmt"
	"testing"
)

// BenchmarkPlan reads the labels of 1,000 containers and makes a tunnel's rules of them: what
// a plan of as many hostnames needs beyond loading the files.
func BenchmarkPlan(b *testing.B) {
	const n = 1000
	s := settings("")
	var containers []Container
	for i := range n {
		containers = append(containers, Container{Name: fmt.Sprint("app", i), Labels: map[string]string{
			"dockflare.enable": "true", "dockflare.hostname": fmt.Sprintf("h%d.example.com", i),
			"dockflare.service": "http://app:80", "dockflare.access.group": "family",
		}, Place: func(label string) string { return label }})
	}
	for b.Loop() {
		claim := Claim{Owner: "notes"}
		for _, c := range containers {
			claim.Routes = append(claim.Routes, s.Read(c).Routes...)
		}
		found := Contested([]Claim{claim})
		rules, refused := Rules(claim.Routes, nil)
		if len(rules) != n+1 || len(refused)+len(found) > 0 || Check(rules) != nil {
			b.Fatalf("%d rules, %+v, %+v", len(rules), refused, found)
		}
	}
}
