package main

import (
	"fmt"
	"os"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

const pluginName = "salvortest"

// agePlugin is an age plugin without a device: its keys are unencrypted X25519 keys.
// `keygen FILE` writes a new identity and prints its recipient.
func agePlugin() {
	if len(os.Args) == 3 && os.Args[1] == "keygen" {
		key, err := age.GenerateX25519Identity()
		if err == nil {
			err = os.WriteFile(os.Args[2], []byte(plugin.EncodeIdentity(pluginName, []byte(key.String()))+"\n"), 0o600)
		}
		if err != nil {
			panic(err)
		}
		fmt.Println(plugin.EncodeRecipient(pluginName, []byte(key.Recipient().String())))
		return
	}
	p, err := plugin.New(pluginName)
	if err != nil {
		panic(err)
	}
	p.HandleRecipient(func(data []byte) (age.Recipient, error) { return age.ParseX25519Recipient(string(data)) })
	p.HandleIdentity(func(data []byte) (age.Identity, error) { return age.ParseX25519Identity(string(data)) })
	os.Exit(p.Main())
}
