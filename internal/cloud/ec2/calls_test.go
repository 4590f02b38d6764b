package ec2

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// TestTheSDKsClientIsInNoType that reaches an interface: salvor would grow by 30 MB.
func TestTheSDKsClientIsInNoType(t *testing.T) {
	t.Parallel()
	seen := map[reflect.Type]bool{}
	var walk func(at reflect.Type)
	walk = func(at reflect.Type) {
		if seen[at] {
			return
		}
		seen[at] = true
		switch at.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Chan:
			walk(at.Elem())
		case reflect.Struct:
			for i := range at.NumField() {
				walk(at.Field(i).Type)
			}
		case reflect.Func:
			for i := range at.NumIn() {
				walk(at.In(i))
			}
		}
	}
	walk(reflect.TypeFor[*EC2]())
	if seen[reflect.TypeFor[ec2.Client]()] || !seen[reflect.TypeFor[ec2.RunInstancesInput]()] {
		t.Errorf("of %d types, one is the client", len(seen))
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, "_test.go") && strings.Contains(string(content), "Paginator(") {
			t.Errorf("%s uses a paginator, which takes the client as an interface", file)
		}
	}
}
