package mount

import (
	"fmt"
	"testing"
	"testing/fstest"
)

func TestDatabasesAreRecognised(t *testing.T) {
	t.Parallel()
	sqlite := sqliteHeader + "and pages"
	for name, c := range map[string]struct {
		files map[string]string
		want  Database
	}{
		"postgres":             {map[string]string{"data/pg/PG_VERSION": "17"}, Database{"Postgres", "data/pg/PG_VERSION"}},
		"mariadb":              {map[string]string{"ibdata1": ""}, Database{"MariaDB or MySQL", "ibdata1"}},
		"mongodb":              {map[string]string{"db/WiredTiger": ""}, Database{"MongoDB", "db/WiredTiger"}},
		"redis":                {map[string]string{"appendonlydir/appendonly.aof.manifest": ""}, Database{"Redis or Valkey", "appendonlydir"}},
		"old redis":            {map[string]string{"r/appendonly.aof": ""}, Database{"Redis or Valkey", "r/appendonly.aof"}},
		"sqlite":               {map[string]string{"a.jpg": sqlite, "lib/app.DB": sqlite}, Database{"SQLite", "lib/app.DB"}},
		"nearest the top":      {map[string]string{"a/b/PG_VERSION": "17", "z/app.sqlite": sqlite}, Database{"SQLite", "z/app.sqlite"}},
		"a file of that end":   {map[string]string{"Thumbs.db": "another format", "short.db": "S"}, Database{}},
		"photos":               {map[string]string{"2024/01/a.jpg": "", "PG_VERSION.txt": ""}, Database{}},
		"deep in a collection": {map[string]string{"1/2/3/4/5/6/PG_VERSION": "17"}, Database{}},
		"nothing":              {nil, Database{}},
	} {
		files := fstest.MapFS{}
		for name, content := range c.files {
			files[name] = &fstest.MapFile{Data: []byte(content)}
		}
		got, found, err := FindDatabase(t.Context(), files)
		if err != nil || got != c.want || found != (c.want.Kind != "") {
			t.Errorf("%s: %+v, %t, %v", name, got, found, err)
		}
	}
	many := fstest.MapFS{"z/PG_VERSION": {Data: []byte("17")}}
	for i := range 2 * lookFolders {
		many[fmt.Sprintf("a%d/x", i)] = &fstest.MapFile{}
	}
	if _, found, err := FindDatabase(t.Context(), many); found || err != nil {
		t.Errorf("all of many folders were looked at: %v", err)
	}
}
