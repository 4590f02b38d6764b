package keychain

import (
	"fmt"
	"os"
)

// there looks for the session's bus where the library does. Without one the library would
// start a bus.
func there() bool {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" && address != "autolaunch:" {
		return true
	}
	_, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid()))
	return err == nil
}
