package ssh

import (
	"errors"
	"net"
	"strings"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/machine/sshtest"
	"salvor/internal/secret"
)

const (
	oldPassword = "correct horse"
	newPassword = "battery staple"
)

func fake(t *testing.T, o sshtest.FakeOptions) *sshtest.Fake {
	t.Helper()
	if o.User == "" {
		o.User = "root"
	}
	o.Password = oldPassword
	f, err := sshtest.StartFake(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// typing are passwords that someone types one after the other.
func typing(replacement string, passwords ...string) *Passwords {
	return &Passwords{
		Password: func(wrong int) (secret.Value, error) {
			if wrong >= len(passwords) {
				return secret.Value{}, ErrWrongPassword
			}
			return secret.NewString(passwords[wrong]), nil
		},
		New: func() (secret.Value, error) {
			if replacement == "" {
				return secret.Value{}, errors.New("no new one")
			}
			return secret.NewString(replacement), nil
		},
	}
}

func door(f *sshtest.Fake, p *Passwords) Options {
	return Options{Name: "alpha", Address: "127.0.0.1", Port: f.Port, User: "root", Keys: []PublicKey{PublicKey(f.HostKey)}, Auth: Auth{Passwords: p}}
}

func TestPasswords(t *testing.T) {
	for name, c := range map[string]struct {
		is       sshtest.FakeOptions
		typed    []string
		renewed  string
		want     string // in the error, "" for none
		password string // of the host afterwards
	}{
		"right":                                {typed: []string{oldPassword}},
		"right at the third try":               {typed: []string{"a", "b", oldPassword}},
		"wrong":                                {typed: []string{"a"}, want: "wrong password"},
		"asked by PAM":                         {is: sshtest.FakeOptions{Interactive: true}, typed: []string{"a", oldPassword}},
		"wrong to PAM":                         {is: sshtest.FakeOptions{Interactive: true}, typed: []string{"a", "b", "c"}, want: "wrong password"},
		"keys only":                            {is: sshtest.FakeOptions{KeysOnly: true}, typed: []string{oldPassword}, want: "it accepts none of the keys, and takes no passwords"},
		"changed during the login":             {is: sshtest.FakeOptions{Interactive: true, Expired: true}, typed: []string{oldPassword}, renewed: newPassword, password: newPassword},
		"to be changed, without a new one":     {is: sshtest.FakeOptions{Interactive: true, Expired: true}, typed: []string{oldPassword}, want: "no new one"},
		"changed to one that the host refuses": {is: sshtest.FakeOptions{Interactive: true, Expired: true}, typed: []string{oldPassword}, renewed: "short", want: "the host refuses the new password: BAD PASSWORD: The password is shorter than 8 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := fake(t, c.is), typing(c.renewed, c.typed...)
			l, err := LogIn(t.Context(), door(f, p))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				if must, err := l.MustChange(t.Context()); must || err != nil {
					t.Errorf("must change %v, %v", must, err)
				}
				password := oldPassword
				if c.password != "" {
					password = c.password
				}
				if string(p.Used().Reveal()) != password {
					t.Error("the password that was used is another")
				}
				return
			}
			if !errors.Is(err, machine.ErrDenied) || !strings.Contains(err.Error(), "root@127.0.0.1:") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), oldPassword) || strings.Contains(fault.Hint(err), oldPassword)) {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

func TestNoPasswordIsAskedForAHostThatIsNotTrusted(t *testing.T) {
	f := fake(t, sshtest.FakeOptions{})
	p := typing("", oldPassword)
	o := door(f, p)
	if err := f.Rekey(); err != nil {
		t.Fatal(err)
	}
	if _, err := LogIn(t.Context(), o); !errors.Is(err, machine.ErrHostKey) || p.given != 0 {
		t.Errorf("%v, asked %d times", err, p.given)
	}
	o.Keys = nil
	if _, err := LogIn(t.Context(), o); !errors.Is(err, machine.ErrHostKey) || p.given != 0 {
		t.Errorf("%v, asked %d times", err, p.given)
	}
}

func TestAPasswordIsChangedAtATerminal(t *testing.T) {
	for name, c := range map[string]struct{ old, renewed, want string }{
		"taken":   {oldPassword, newPassword, ""},
		"refused": {oldPassword, "short", "the host refuses the new password: BAD PASSWORD: The password is shorter than 8 characters"},
		"wrong":   {"wrong", newPassword, "it asked for no new password"},
	} {
		t.Run(name, func(t *testing.T) {
			f := fake(t, sshtest.FakeOptions{Expired: true})
			l, err := LogIn(t.Context(), door(f, typing("", oldPassword)))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if must, err := l.MustChange(t.Context()); !must || err != nil {
				t.Fatalf("must change %v, %v", must, err)
			}
			err = l.Change(t.Context(), secret.NewString(c.old), secret.NewString(c.renewed))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if c.want != "" {
				return
			}
			again, err := LogIn(t.Context(), door(f, typing("", newPassword)))
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if must, err := again.MustChange(t.Context()); must || err != nil {
				t.Errorf("must change %v, %v", must, err)
			}
		})
	}
}

func TestWhyDenied(t *testing.T) {
	free := fake(t, sshtest.FakeOptions{})
	if _, err := Dial(t.Context(), door(free, nil)); WhyDenied(err) != NoKey {
		t.Errorf("no key: %v", err)
	}
	behind := door(free, typing("", oldPassword))
	jump := door(fake(t, sshtest.FakeOptions{}), nil)
	behind.Jump = &jump
	if _, err := LogIn(t.Context(), behind); WhyDenied(err) != 0 || !errors.Is(err, machine.ErrDenied) {
		t.Errorf("the jump host denies: %v", err)
	}
}

func TestKindsOfQuestions(t *testing.T) {
	for prompt, want := range map[string]question{
		"Password: ": asksPassword, "(root@alpha) Password: ": asksPassword, "Password for root@alpha:": asksPassword,
		"Current password: ": asksCurrent, "(current) UNIX password: ": asksCurrent, "Old Password: ": asksCurrent,
		"You are required to change your password immediately (administrator enforced).\nCurrent password: ": asksCurrent,
		"New password: ": asksNew, "Enter new UNIX password: ": asksNew, "BAD PASSWORD: It is too similar to the old one\nNew password: ": asksNew,
		"Retype new password: ": asksAgain, "Retype new UNIX password: ": asksAgain, "Re-enter new password: ": asksAgain,
		"Verification code: ": asksElse, "passwd: password updated successfully\r\n": asksElse, "": asksElse, "Your password has expired.": asksElse,
	} {
		if got := kindOf(prompt); got != want {
			t.Errorf("%q: %d, want %d", prompt, got, want)
		}
	}
}

// FuzzAnswer has a host say anything: it gets a password for a question alone.
func FuzzAnswer(f *testing.F) {
	f.Add("Current password: ")
	f.Add("Welcome\r\nNew password: ")
	f.Add("\x1b[2J: ")
	f.Fuzz(func(t *testing.T, heard string) {
		d := dialogue{old: secret.NewString("o"), replacement: secret.NewString("n")}
		if _, asked := d.answer(heard); asked && kindOf(heard) == asksElse {
			t.Errorf("%q is answered", heard)
		}
		if said := lastSaid(heard); strings.ContainsAny(said, "\n\x1b") {
			t.Errorf("%q is said as %q", heard, said)
		}
	})
}

// TestAHostThatDropsTheConnection is what sshd 9.8 does for a while after failed logins.
func TestAHostThatDropsTheConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1)) // the other side has written
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	}()
	o := Options{Name: "alpha", Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Auth: Auth{Passwords: typing("", oldPassword)}}
	_, scanned := Scan(t.Context(), o)
	_, dialled := LogIn(t.Context(), o)
	for _, err := range []error{scanned, dialled} {
		if !errors.Is(err, machine.ErrUnreachable) || !strings.Contains(fault.Hint(err), "PerSourcePenalties") {
			t.Errorf("%v, hint %q", err, fault.Hint(err))
		}
	}
}
