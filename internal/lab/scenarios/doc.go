// Package scenarios is what Salvor promises, tried on real hosts: each scenario
// is a test that begins with scenario.Begin. It has tests only.
package scenarios
