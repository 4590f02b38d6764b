package compose

import (
	"testing"

	"salvor/internal/fleet"
)

// TestMethodsAreProposedByImage: a database with a native method is asked for its data,
// by the service that has it.
func TestMethodsAreProposedByImage(t *testing.T) {
	for image, want := range map[string]fleet.Method{
		"mariadb:11": fleet.MariaDB, "docker.io/library/mysql:8": fleet.MariaDB, "lscr.io/linuxserver/mariadb": fleet.MariaDB, "bitnami/mysql": fleet.MariaDB,
		"postgres:17": fleet.Postgres, "redis:7": fleet.Pause, "nginx": fleet.Pause,
	} {
		loaded := loadApp(t, map[string]string{"stacks/app/compose.yaml": "services: {db: {image: \"" + image + "\", volumes: [\"data:/var/lib/data\"]}}\nvolumes: {data: }\n"})
		if len(loaded.Volumes) != 1 || loaded.Volumes[0].Method != want || (loaded.Volumes[0].Service == "db") != want.Native() {
			t.Errorf("%s: %+v", image, loaded.Volumes)
		}
	}
}
