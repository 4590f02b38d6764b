package cli

// examples are what the help of each command shows, by its path: complete command lines,
// the usual one first. A comment says what is not plain from the line.
var examples = map[string]string{
	"adopt": `salvor adopt alpha --observe                      # what runs there, and what would be lost
salvor adopt alpha
salvor adopt alpha notes photos`,
	"ansible": `salvor ansible playbooks/site.yml -- --check --diff
salvor ansible playbooks/site.yml -- --limit alpha
salvor ansible --init`,
	"apply": `salvor apply
salvor apply --partial               # without the hosts that do not answer
salvor apply --restore notes         # a name that was used before: with its newest snapshot
salvor apply --yes --quiet           # in a script`,
	"check": `salvor check
salvor check --json`,
	"claim drop": `salvor claim drop notes 019a8e5c-7d1f-7c3a-9b52-4f1d2c7e6a10    # as claim ls shows it`,
	"claim ls": `salvor claim ls
salvor claim ls notes`,
	"clone": `salvor clone --card card.txt home`,
	"cp": `salvor cp notes/web:/etc/nginx/nginx.conf .
salvor cp ./fix.sql notes/db:/tmp
salvor cp notes/web:/var/www - >www.tar          # a tar stream`,
	"completion": `salvor completion bash >~/.local/share/bash-completion/completions/salvor
salvor completion zsh
salvor completion fish`,
	"doctor": `salvor doctor
salvor doctor alpha                             # all about one host
salvor doctor --json`,
	"down": `salvor down notes`,
	"exec": `salvor exec notes web                            # a shell
salvor exec notes web ls /data
salvor exec -t shop db -- psql -U shop          # with this terminal
salvor exec shop db pg_dump -U shop >shop.sql`,
	"help": `salvor help restore
salvor help snapshot-late                        # what a finding means, and what to do`,
	"host add": `salvor host add alpha root@192.0.2.10
salvor host add beta ops@beta.example.net:2222 --jump ops@gate.example.net:22
salvor host add gamma root@192.0.2.12 --host-key SHA256:xGJ0bOUxbD5bF5Ew7LJZbtLkhVCrPuLEkT1sHIPTAyM`,
	"host cloud-init": `salvor host cloud-init gamma >user-data          # paste it where the provider asks for user-data`,
	"host create": `salvor host create gamma --provider aws --type t3.small --region eu-central-1 --from 203.0.113.7/32
salvor host create gamma --provider aws --type t4g.small --from 203.0.113.7/32 --disk 60`,
	"host destroy": `salvor host destroy gamma
salvor host destroy gamma --server aws:eu-central-1/k3v9x2mq5a    # as doctor lists it`,
	"host ls": `salvor host ls
salvor host ls --json`,
	"host release": `salvor host release alpha                         # the host, with all its stacks
salvor host release alpha notes photos            # some of its stacks`,
	"host remove": `salvor host remove alpha`,
	"host take":   `salvor host take alpha docker`,
	"init": `salvor init ~/fleet
salvor init ~/fleet --name home --signed-commits`,
	"inventory": `salvor inventory --list
salvor inventory --host alpha`,
	"key lock": `salvor key lock`,
	"key unlock": `salvor key unlock
salvor key unlock --for 8h                       # at most 24h`,
	"key card": `salvor key card --html --out /dev/shm/card.html
salvor key card --out /dev/shm/card.txt`,
	"key new": `salvor key new
salvor key new --identity ~/keys/home.age`,
	"key prove": `salvor key prove
salvor key prove --identity card.txt             # the card, before you need it`,
	"key recovery": `salvor key recovery`,
	"key rotate": `salvor key rotate
salvor key rotate --compromised                  # others may have the old key
salvor key rotate --recovery                     # then print a new card`,
	"key ssh": `salvor key ssh
salvor key ssh | ssh root@192.0.2.10 'cat >>.ssh/authorized_keys'
salvor key ssh --rotate`,
	"key trust": `salvor key trust
salvor key trust SHA256:xGJ0bOUxbD5bF5Ew7LJZbtLkhVCrPuLEkT1sHIPTAyM`,
	"logs": `salvor logs notes
salvor logs shop web db -n 100
salvor logs notes -f -t
salvor logs --since 10m                          # of all stacks
salvor logs notes/web photos`,
	"move": `salvor move notes --to beta`,
	"plan": `salvor plan
salvor plan --check --quiet                      # ends with 20 when something would change`,
	"ps": `salvor ps
salvor ps notes
salvor ps notes web                              # all that is known of one service`,
	"record move": `salvor record move cloud
salvor record move nas:salvor/record`,
	"recover": `salvor recover alpha --to gamma=root@192.0.2.30
salvor recover alpha --to beta                   # a host that there is
salvor recover alpha --to gamma=root@192.0.2.30 --compromised`,
	"remote add": `salvor remote add drive --type drive --client client_secret.json
salvor remote add drive --type drive --service-account key.json --team-drive 0AbCdEf
salvor remote add nas --type sftp --set host=nas.example.net --set user=backup
salvor remote add box --type crypt --set remote=drive:box`,
	"remote ls":    `salvor remote ls`,
	"remote renew": `salvor remote renew drive`,
	"remote usage": `salvor remote usage
salvor remote usage drive --json`,
	"remote test": `salvor remote test nas
salvor remote test nas --host-key SHA256:xGJ0bOUxbD5bF5Ew7LJZbtLkhVCrPuLEkT1sHIPTAyM`,
	"restart": `salvor restart notes
salvor restart notes web`,
	"restore": `salvor restore notes
salvor restore notes --snapshot 3f2a91c0
salvor restore notes --from offsite              # the newest that this target has
salvor restore notes --volume uploads --at "2026-11-23 08:00"
salvor restore notes --withdraw
salvor restore host.alpha            # the host's protected folders, into a folder next to them`,
	"rollback": `salvor rollback notes
salvor rollback notes --list
salvor rollback notes --to 1a2b3c4 --with-data`,
	"route adopt": `salvor route adopt --host alpha
salvor route adopt --host alpha --state state.json    # with the rules that were made by hand`,
	"route dockflare": `salvor route dockflare --host alpha`,
	"route explain":   `salvor route explain notes`,
	"route ls": `salvor route ls
salvor route ls --json`,
	"route plan": `salvor route plan
salvor route plan --case vectors.json#DF-01 --json`,
	"scan": `salvor scan
salvor scan --history`,
	"schema": `salvor schema fleet >fleet.schema.json`,
	"secret audit": `salvor secret audit
salvor secret audit shop/DB_PASSWORD --days 7`,
	"secret edit":  `salvor secret edit shop/CONFIG`,
	"secret get":   `salvor secret get shop/DB_PASSWORD`,
	"secret grant": `salvor secret grant ben age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg`,
	"secret import": `salvor secret import stacks/shop/.env
salvor secret import stacks/*/.env               # all at once
salvor secret import stacks/shop/.env --files    # official images read them from files`,
	"secret ls": `salvor secret ls
salvor secret ls --json`,
	"secret revoke": `salvor secret revoke ben`,
	"secret rm":     `salvor secret rm shop/OLD_TOKEN`,
	"secret rotate": `salvor secret rotate shop/DB_PASSWORD --generate
salvor secret rotate shop/SMTP_PASSWORD <new.txt`,
	"secret set": `salvor secret set nas_key <~/.ssh/backup_ed25519
salvor secret set shop/SMTP_PASSWORD             # asks for it
salvor secret set shop/DB_PASSWORD --generate`,
	"snapshot check": `salvor snapshot check
salvor snapshot check notes --read-data`,
	"snapshot diff": `salvor snapshot diff 3f2a91c0 8b04e1d7
salvor snapshot diff notes 3f2a91c0 latest`,
	"snapshot get": `salvor snapshot get 3f2a91c0:/data/photos/cat.jpg
salvor snapshot get notes latest:/data/photos -o ~/back
salvor snapshot get notes --at "2026-11-23 08:00" /data -o -  >data.tar    # with owners`,
	"snapshot ls": `salvor snapshot ls notes
salvor snapshot ls notes 3f2a91c0:/data/photos
salvor snapshot ls notes --at 2026-11-23 /data`,
	"snapshot prune": `salvor snapshot prune
salvor snapshot prune notes shop
salvor snapshot prune --dry-run                  # how many bytes it would free`,
	"snapshot take": `salvor snapshot take notes
salvor snapshot take notes --accept-shrunk       # it is meant to be smaller`,
	"ssh": `salvor ssh alpha
salvor ssh alpha -- docker ps
salvor ssh -t alpha -- top                       # with this terminal`,
	"start": `salvor start notes web`,
	"status": `salvor status
salvor status --exit-code                        # in a timer: 0 only if nothing needs you
salvor status --json`,
	"stop": `salvor stop notes web`,
	"up":   `salvor up notes`,
	"version": `salvor version
salvor version --hosts --json`,
}
