package agent

import ()

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
