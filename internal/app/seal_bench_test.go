package app

import (
	"fmt"
	"testing"
	"testing/fstest"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/sops"
	"salvor/internal/secretstore"
	"salvor/internal/sign"
)

func newKey(tb testing.TB) agekey.Key {
	tb.Helper()
	k, err := agekey.Generate()
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// BenchmarkSealThousandSecrets opens 1,000 secrets in the files of 20 stacks, 50
// variables each, and seals each stack for a host of its own.
func BenchmarkSealThousandSecrets(b *testing.B) {
	const stacks, each = 20, 50
	operator, recovery := newKey(b), newKey(b)
	recipients := []string{operator.Recipient, recovery.Recipient}
	files, hosts := fstest.MapFS{}, map[string]agekey.Key{}
	var names, variables []string
	for i := range each {
		variables = append(variables, fmt.Sprintf("V%d", i))
	}
	for i := range stacks {
		stack := fmt.Sprintf("stack%02d", i)
		names, hosts[stack] = append(names, stack), newKey(b)
		files["secrets/"+stack+".env"] = &fstest.MapFile{Data: fiftyVariables(b, stack, each, operator, recipients)}
	}
	private, err := sign.NewKey("bench")
	if err != nil {
		b.Fatal(err)
	}
	key, err := sign.ParseKey(private)
	if err != nil {
		b.Fatal(err)
	}
	store := secretstore.New(secretstore.Options{Files: files, Keys: operator, Recipients: recipients})
	b.ResetTimer()
	for b.Loop() {
		for _, stack := range names {
			all, err := store.Env(b.Context(), stack, variables...)
			if err != nil || len(all) != each {
				b.Fatal(len(all), err)
			}
			content := agentapi.SealedFile{Env: map[string][]byte{}}
			for name, value := range all {
				content.Env[name] = value.Reveal()
			}
			in := seal.Inputs{Placement: seal.Placement{Host: "host-" + stack, Stack: stack, Epoch: 1}, Recipients: []string{hosts[stack].Recipient}}
			if _, err := seal.Seal(content, in, key); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(stacks*each*b.N)/b.Elapsed().Seconds(), "secrets/s")
}

func fiftyVariables(b *testing.B, stack string, count int, operator agekey.Key, recipients []string) []byte {
	b.Helper()
	path := fleet.EnvFile(stack)
	data, err := sops.NewEnv(path, recipients, secret.Variable{Name: "V0", Value: secret.NewString("value-0")})
	for i := 1; i < count && err == nil; i++ {
		var f *sops.File
		if f, err = sops.Parse(path, data); err == nil {
			data, err = f.SetEnv(operator, secret.Variable{Name: fmt.Sprintf("V%d", i), Value: secret.NewString(fmt.Sprintf("value-%d", i))})
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	return data
}
