// Package keychaintest stands in for a desktop's Secret Service, with the bus that leads
// to it.
package keychaintest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"

	"salvor/internal/socketdir"
)

// A Service keeps secrets for who comes over its bus. Its collection is always unlocked.
type Service struct {
	Address string // for DBUS_SESSION_BUS_ADDRESS

	mu    sync.Mutex // guards items
	items map[dbus.ObjectPath]item
}

type item struct {
	attributes map[string]string
	value      []byte
}

// An entry is the wire's form of a secret.
type entry struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

const (
	collection = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	session    = dbus.ObjectPath("/org/freedesktop/secrets/session/1")
	noPrompt   = dbus.ObjectPath("/")
)

// Start serves until the test ends.
func Start(t testing.TB) *Service {
	t.Helper()
	dir, err := socketdir.Make("bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "bus")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s := &Service{Address: "unix:path=" + socket, items: map[dbus.ObjectPath]item{}}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			go s.serve(conn)
		}
	}()
	return s
}

// Values are what it keeps, by the account.
func (s *Service) Values() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	values := map[string]string{}
	for _, each := range s.items {
		values[each.attributes["username"]] = string(each.value)
	}
	return values
}

func (s *Service) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	if authenticate(in, conn) != nil {
		return
	}
	for {
		call, err := dbus.DecodeMessage(in)
		if err != nil {
			return // who called is gone
		}
		member, _ := call.Headers[dbus.FieldMember].Value().(string)
		path, _ := call.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
		reply := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(call.Serial())}}
		if reply.Body = s.call(member, path, call.Body); len(reply.Body) > 0 {
			reply.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(reply.Body...))
		}
		if reply.EncodeTo(conn, binary.LittleEndian) != nil {
			return
		}
	}
}

// authenticate is the bus's half of the handshake: everyone is welcome.
func authenticate(in *bufio.Reader, out io.Writer) error {
	if _, err := in.ReadByte(); err != nil {
		return err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		answer := "ERROR\r\n"
		switch fields := strings.Fields(line); {
		case len(fields) > 0 && fields[0] == "BEGIN":
			return nil
		case len(fields) == 1 && fields[0] == "AUTH":
			answer = "REJECTED EXTERNAL\r\n"
		case len(fields) > 1 && fields[0] == "AUTH":
			answer = "OK 00000000000000000000000000000000\r\n"
		}
		if _, err := io.WriteString(out, answer); err != nil {
			return err
		}
	}
}

// call answers one method of the bus or of the service.
func (s *Service) call(member string, path dbus.ObjectPath, args []any) []any {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch member {
	case "Hello":
		return []any{":1.1"}
	case "Get": // of the service's collections
		return []any{dbus.MakeVariant([]dbus.ObjectPath{collection})}
	case "OpenSession":
		return []any{dbus.MakeVariant(""), session}
	case "Unlock":
		return []any{args[0], noPrompt}
	case "SearchItems":
		wanted, _ := args[0].(map[string]string)
		found := []dbus.ObjectPath{}
		for at, each := range s.items {
			if maps.Equal(each.attributes, wanted) {
				found = append(found, at)
			}
		}
		return []any{found}
	case "CreateItem":
		return []any{s.create(args), noPrompt}
	case "GetSecret":
		return []any{entry{Session: session, Parameters: []byte{}, Value: s.items[path].value, ContentType: "text/plain"}}
	case "Delete":
		delete(s.items, path)
		return []any{noPrompt}
	}
	return nil
}

// create keeps a secret instead of the one with the same attributes.
func (s *Service) create(args []any) dbus.ObjectPath {
	properties, _ := args[0].(map[string]dbus.Variant)
	attributes, _ := properties["org.freedesktop.Secret.Item.Attributes"].Value().(map[string]string)
	secret, _ := args[1].([]any)
	value, _ := secret[2].([]byte)
	at := collection + dbus.ObjectPath(fmt.Sprintf("/%d", len(s.items)))
	for present, each := range s.items {
		if maps.Equal(each.attributes, attributes) {
			at = present
		}
	}
	s.items[at] = item{attributes, value}
	return at
}
