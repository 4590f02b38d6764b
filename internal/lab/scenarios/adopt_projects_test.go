package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"salvor/internal/lab"
	"salvor/internal/lab/world"
)

// A homemade is a Compose project that someone runs on a host without Salvor.
type homemade struct {
	name  string
	dir   string            // where docker compose up is run
	files map[string]string // below dir
	first string            // shell, run before it is started
	port  int               // on which its writer shows its rows, 0 for none
	gone  bool              // its data may be lost with the host
	only  string            // why it stays as it is: part of the reason that Salvor gives, "" for one that is taken over
}

// kept is where the folders and volumes of the host are that the projects use and
// did not make.
const (
	goods    = "/srv/goods"    // of shop: one of everything that a file system has
	pictures = "/mnt/pictures" // of photos, in addition to a volume
)

// homemades are five projects of an ordinary server: a store next to its Compose file,
// a database with an env file, a site, files in a volume that someone made, and one whose
// folder is gone.
func homemades(i world.Images, collector string) []homemade {
	return []homemade{
		{name: "diary", dir: "/opt/stacks/diary", port: 8081, files: map[string]string{
			"compose.yaml": `# what I did
services:
  app:
    image: ` + i.Writer + `
    restart: unless-stopped
    environment: {STORE: sqlite, WRITER: diary, COLLECTOR: "` + collector + `", EVERY: 20ms, API_TOKEN: "${API_TOKEN}"}
    ports: ["${PORT}:8080"]
    volumes: ["./data:/data", "./app.conf:/etc/app.conf:ro"]
`, ".env": "API_TOKEN=canary-Zk3vT9qLw2\nPORT=8081\n", "app.conf": "colour: green\n",
		}},
		{name: "blog", dir: "/srv/blog", port: 8082, files: map[string]string{
			"docker-compose.yml": `version: "3.8"
services:
  app:
    image: ` + i.Writer + `
    restart: always
    depends_on: {db: {condition: service_healthy}}
    env_file: [db.env]
    environment: {STORE: postgres, WRITER: blog, COLLECTOR: "` + collector + `", EVERY: 20ms, PGHOST: db, PGUSER: postgres, PGDATABASE: app}
    ports: ["8082:8080"]
    networks: [default, front]
  db:
    image: ` + i.Postgres + `
    restart: always
    env_file: db.env
    volumes: ["db:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD", "pg_isready", "-U", "postgres", "-h", "127.0.0.1"], interval: 1s, timeout: 5s, retries: 60}
networks: {front: {external: true}}
volumes:
  db:
`, "db.env": "POSTGRES_DB=app\nPOSTGRES_PASSWORD=canary-9fWq4XbN7c\nPGPASSWORD=canary-9fWq4XbN7c\n",
		}},
		{name: "shop", dir: "/home/ann/shop", first: "mkdir -p " + goods + " && cp -a --sparse=always /root/tree/. " + goods + "/", files: map[string]string{
			"compose.yml": `services:
  web:
    image: ` + i.Nginx + `
    container_name: shopfront
    restart: unless-stopped
    ports: ["80:80"]
    volumes:
      - ./html:/usr/share/nginx/html:ro
      - ` + goods + `:/goods
    networks: [front]
networks:
  front:
    external: true
`, "html/index.html": "<h1>shop</h1>\n",
		}},
		{name: "photos", dir: "/opt/stacks/photos", port: 8083,
			first: "docker volume create shelf && mkdir -p " + pictures + " && echo mountain >" + pictures + "/mountain.txt",
			files: map[string]string{"compose.yaml": `services:
  app:
    image: ` + i.Writer + `
    restart: unless-stopped
    environment: {STORE: files, WRITER: photos, COLLECTOR: "` + collector + `", EVERY: 20ms, SIZE: "4096"}
    ports: ["8083:8080"]
    volumes: ["shelf:/data", "` + pictures + `:/pictures"]
volumes: {shelf: {external: true}}
`,
			}},
		{name: "old", dir: "/opt/stacks/old", port: 8084, only: "/opt/stacks/old", files: map[string]string{
			"compose.yaml": writerOf(i, "old", "sqlite", collector, 8084, `volumes: ["data:/data"]`) + "volumes: {data: {}}\n",
		}},
	}
}

// oddities are five more, as they come with years: host network and profiles, parts in
// several files, an image that is built there, a volume without a name, an override.
func oddities(i world.Images, collector string) []homemade {
	return []homemade{
		{name: "radio", dir: "/opt/stacks/radio", port: 8091, files: map[string]string{
			"compose.yaml": `services:
  app:
    image: ` + i.Writer + `
    network_mode: host
    restart: unless-stopped
    environment: {STORE: sqlite, WRITER: radio, COLLECTOR: "` + collector + `", EVERY: 50ms, LISTEN: ":8091"}
    volumes: ["./data:/data"]
  debug:
    image: ` + i.Writer + `
    profiles: [debug]
    command: ["health"]
`,
		}},
		{name: "wiki", dir: "/opt/stacks/wiki", port: 8092, files: map[string]string{
			"compose.yaml":     "include: [parts/store.yaml]\nservices:\n  web:\n    image: " + i.Nginx + "\n    restart: unless-stopped\n    depends_on: [app]\n    volumes: [\"pages:/pages:ro\"]\n",
			"parts/store.yaml": writerOf(i, "wiki", "files", collector, 8092, "profiles: [all]\n    volumes: [\"pages:/data\"]") + "volumes: {pages: {}}\n",
			".env":             "COMPOSE_PROFILES=all\n",
		}},
		{name: "made", dir: "/opt/stacks/made", port: 8093, files: map[string]string{
			"compose.yaml": strings.Replace(writerOf(i, "made", "sqlite", collector, 8093, `volumes: ["data:/data"]`), "image: "+i.Writer, "build: ./image", 1) +
				"  web:\n    image: " + i.Nginx + "\n    restart: unless-stopped\nvolumes: {data: {name: made-here}}\n",
			"image/Dockerfile": "FROM " + i.Writer + "\nENV MADE=here\n",
		}},
		{name: "scratch", dir: "/opt/stacks/scratch", port: 8094, gone: true, files: map[string]string{
			"compose.yaml": writerOf(i, "scratch", "sqlite", collector, 8094, `volumes: ["/data"]`),
		}},
		{name: "feeds", dir: "/opt/stacks/feeds", port: 8095, files: map[string]string{
			"compose.yaml":          writerOf(i, "feeds", "sqlite", collector, 8095, `volumes: ["./../feeds-data:/data"]`),
			"compose.override.yaml": "services:\n  app:\n    container_name: feeds\n    labels: {price: \"5$$\"}\n    env_file: [{path: optional.env, required: false}]\n",
		}},
	}
}

// writerOf is a Compose file of one writer.
func writerOf(i world.Images, name, store, collector string, port int, more string) string {
	return fmt.Sprintf(`services:
  app:
    image: %s
    restart: unless-stopped
    environment: {STORE: %s, WRITER: %s, COLLECTOR: %q, EVERY: 50ms}
    ports: ["%d:8080"]
    %s
`, i.Writer, store, name, collector, port, more)
}

// starts runs a project as a person does without Salvor.
func (p homemade) starts(t *testing.T, h *lab.Host) {
	t.Helper()
	for name, content := range p.files {
		must(t, h.WriteFile(t.Context(), p.dir+"/"+name, content))
	}
	if p.first != "" {
		exec(t, h, p.first)
	}
	exec(t, h, "cd "+p.dir+" && docker compose up -d 2>&1")
}

func (p homemade) stack() world.Stack { return world.Stack{Name: p.name, Port: p.port} }

// thoseThatWrite are the projects that write rows.
func thoseThatWrite(all []homemade) (some []homemade) {
	for _, p := range all {
		if p.port != 0 {
			some = append(some, p)
		}
	}
	return some
}

// taken are the projects that are taken over.
func taken(all []homemade) (some []homemade) {
	for _, p := range all {
		if p.only == "" {
			some = append(some, p)
		}
	}
	return some
}
