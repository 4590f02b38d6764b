package cli

import (
	"context"
	"strings"
	"time"

	"salvor/internal/app"
	"salvor/internal/doctor"
	"salvor/internal/fault"
)

// cloudLimit bounds how long one cloud is waited for.
const cloudLimit = 30 * time.Second

// checkClouds looks for servers that no host has, wherever the fleet has some or this clone
// made one.
func checkClouds(ctx context.Context, a *app.App) []doctor.Check {
	places, err := a.Servers.Places()
	if err != nil {
		return []doctor.Check{{Name: "cloud", State: doctor.Broken, Text: err.Error()}}
	}
	var all []doctor.Check
	for _, place := range places {
		all = append(all, checkCloud(ctx, a, place)...)
	}
	return all
}

func checkCloud(ctx context.Context, a *app.App, place string) []doctor.Check {
	ctx, cancel := context.WithTimeout(ctx, cloudLimit)
	defer cancel()
	name, region, _ := strings.Cut(place, ":")
	provider, err := app.Cloud(ctx, a, name, region)
	if err != nil {
		return []doctor.Check{{Name: "cloud " + place, State: doctor.Broken, Text: err.Error(), Fix: fault.Hint(err)}}
	}
	strays, err := a.Servers.Strays(ctx, provider)
	if err != nil {
		return []doctor.Check{{Name: "cloud " + place, State: doctor.Broken, Text: err.Error(), Fix: fault.Hint(err)}}
	}
	var all []doctor.Check
	for _, s := range strays {
		text := s.Has() + " of " + s.Host + " is there, and no host has it"
		if !s.Since.IsZero() {
			text = s.Has() + " of " + s.Host + " is there since " + s.Since.UTC().Format("2006-01-02 15:04") + " UTC, and no host has it"
		}
		all = append(all, doctor.Check{Name: "cloud " + place, State: doctor.Missing, Text: text, Fix: s.Fix})
	}
	if len(all) == 0 {
		all = []doctor.Check{{Name: "cloud " + place, State: doctor.Ready, Text: "every server there is a host"}}
	}
	return all
}
