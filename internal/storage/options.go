package storage

import (
	"sync"

	"github.com/rclone/rclone/fs"
)

// options is one remote's configuration as rclone reads it: the declared values
// over the backend's defaults. What a backend writes back (a refreshed token)
// is kept for the life of the process; where it is shared, it is asked for there.
type options struct {
	declared fs.Options
	token    *sharedToken // nil for one that is not shared

	mu     sync.Mutex // guards values
	values map[string]string
}

// Get implements configmap.Getter.
func (o *options) Get(name string) (string, bool) {
	if name == "token" && o.token != nil {
		return o.token.current(), true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if value, ok := o.values[name]; ok {
		return value, true
	}
	option := o.declared.Get(name)
	if option == nil {
		return "", false
	}
	fresh := fs.Option{Name: option.Name, Default: option.Default}
	return fresh.String(), true
}

// Set implements configmap.Setter.
func (o *options) Set(name, value string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.values[name] = value
}
