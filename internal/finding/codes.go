package finding

import "slices"

// Code is the stable name of a kind of finding.
type Code string

// The codes. Each has a row in Table, from which docs/reference/findings.md is
// generated; adding one means adding its row.
const (
	MountUnclassified  Code = "mount-unclassified"
	DatabaseLiveCopy   Code = "database-live-copy"
	ConfigWritable     Code = "config-writable"
	UnfencedStart      Code = "unfenced-start"
	Fenced             Code = "fenced"
	HandedOver         Code = "handed-over"
	ClaimMissing       Code = "claim-missing"
	ClaimOffBranch     Code = "claim-off-branch"
	ClaimIgnored       Code = "claim-ignored"
	RecordIgnored      Code = "record-ignored"
	VolumeEmpty        Code = "volume-empty"
	VolumeMissing      Code = "volume-missing"
	VolumeShrunk       Code = "volume-shrunk"
	VolumeSparse       Code = "volume-sparse"
	VolumeExcluded     Code = "volume-excluded"
	SnapshotHook       Code = "snapshot-hook-failed"
	SharedDatabase     Code = "shared-database"
	VolumeOccupied     Code = "volume-occupied"
	VolumeTaken        Code = "volume-taken"
	VolumeKept         Code = "volume-kept"
	VolumeRenamed      Code = "volume-renamed"
	NoteUnreadable     Code = "note-unreadable"
	HostKeyLost        Code = "host-key-lost"
	HostOtherKey       Code = "host-recipient-differs"
	DiskFull           Code = "disk-full"
	SnapshotLate       Code = "snapshot-late"
	TargetSilent       Code = "target-silent"
	SnapshotUnverified Code = "snapshot-unverified"
	SnapshotLasts      Code = "snapshot-lasts"
	SnapshotFailed     Code = "snapshot-failed"
	FirstUpload        Code = "first-upload"
	SnapshotWaits      Code = "snapshot-waits"
	RestoreFailed      Code = "restore-failed"
	NotAsCommitted     Code = "not-as-committed"
	SnapshotDamaged    Code = "snapshot-damaged"
	HistoryLost        Code = "snapshot-history-lost"
	SnapshotRolledBack Code = "snapshot-rolled-back"
	SnapshotFuture     Code = "snapshot-from-the-future"
	SnapshotUnproven   Code = "snapshot-unproven"
	PruneDue           Code = "prune-due"
	Ungated            Code = "ungated"
	ProjectRenamed     Code = "project-renamed"
	AdoptDiffers       Code = "adopt-differs"
	StackDraft         Code = "stack-draft"
	PauseTooLong       Code = "pause-too-long"
	PauseBroken        Code = "pause-broken"
	Paused             Code = "paused"
	DumpFailed         Code = "dump-failed"
	DumpUntried        Code = "dump-untried"
	DumpChanged        Code = "dump-changed"
	MountNested        Code = "mount-nested"
	SettingUnused      Code = "setting-unused"
	IngressUnset       Code = "ingress-unset"
	RouteClosed        Code = "route-closed"
	RouteTaken         Code = "route-taken"
	RoutePath          Code = "route-path"
	LabelIgnored       Code = "label-ignored"
	RouteBlocked       Code = "route-blocked"
	RoutesKept         Code = "routes-kept"
	RoutesLate         Code = "routes-late"
	RouteUnreached     Code = "route-unreached"
	RouteShared        Code = "route-shared-name"
	ConnectorSilent    Code = "connector-silent"
	ConnectorKept      Code = "connector-kept"
	TunnelUnusable     Code = "tunnel-unusable"
	TokenLacks         Code = "token-lacks"
	StackUnplaced      Code = "stack-unplaced"
	VariableUnset      Code = "variable-unset"
	MountAbsent        Code = "mount-absent"
	MountKept          Code = "mount-kept"
	TailnetAbsent      Code = "tailnet-absent"
	TailnetExpires     Code = "tailnet-key-expires"
	SharedUnmounted    Code = "shared-unmounted"
	SharedFull         Code = "shared-full"
	SharedLate         Code = "shared-late"
	DivergedFiles      Code = "diverged-files"
	StackTakenOver     Code = "stack-taken-over"
	StackBroken        Code = "stack-broken"
	NotInGit           Code = "not-in-git"
	NotCommitted       Code = "not-committed"
	CloneBehind        Code = "clone-behind"
	DataInGit          Code = "data-in-git"
	HostFileUnused     Code = "host-file-unused"
	SealMissing        Code = "seal-missing"
	ComposeRefused     Code = "compose-refused"
	DoesNotFit         Code = "does-not-fit"
	SecretInClear      Code = "secret-in-clear"
	SecretExposed      Code = "secret-exposed"
	KeyUnproven        Code = "key-unproven"
	IdentityExposed    Code = "identity-exposed"
	IdentityInClear    Code = "identity-unprotected"
	SealUntrusted      Code = "seal-untrusted"
	HostsUntrusted     Code = "hosts-untrusted"
	MirrorUntrusted    Code = "mirror-untrusted"
	JournalUntrusted   Code = "journal-untrusted"
	SecretSeen         Code = "secret-seen"
	SecretMissing      Code = "secret-missing"
	SecretLate         Code = "secret-late"
	VaultPasswordWeak  Code = "vault-password-weak"
	PortTaken          Code = "port-taken"
	ContainerTaken     Code = "container-taken"
	NetworkMissing     Code = "network-missing"
	FolderUnused       Code = "folder-unused"
	FileUnused         Code = "file-unused"
	RemoteInvalid      Code = "remote-invalid"
	RemoteDenied       Code = "remote-denied"
	RegistryInvalid    Code = "registry-invalid"
	TargetMissing      Code = "target-missing"
	ImageNotAsLocked   Code = "image-not-as-locked"
	RecordMissing      Code = "record-missing"
	HookMissing        Code = "hook-missing"
	RecordMoved        Code = "record-moved"
	HostRenamed        Code = "host-renamed"
	GitUnpinned        Code = "git-unpinned"
	GitUnread          Code = "git-unread"
	AnswerRefused      Code = "answer-refused"
	CrashLoop          Code = "crash-loop"
	ServiceDown        Code = "service-down"
	EngineMissing      Code = "engine-missing"
	ClockWrong         Code = "clock-wrong"
	RebootRequired     Code = "reboot-required"
	SSHOverruled       Code = "ssh-overruled"
	PortPublic         Code = "port-public"
)

// Row documents one code.
type Row struct {
	Code    Code
	Meaning string
	Fix     string
}

// Codes returns every code, as text, sorted.
func Codes() []string {
	var all []string
	for _, row := range Table() {
		all = append(all, string(row.Code))
	}
	slices.Sort(all)
	return all
}

// Table returns every code with its meaning, in the order of the documentation.
func Table() []Row {
	return []Row{
		{MountUnclassified, "A mount is neither data, config from Git nor a known host path: its loss would not be noticed.", "name it under x-salvor.volumes"},
		{DatabaseLiveCopy, "A database would be copied while it runs; such a copy starts and is wrong.", "set consistent: to the database's method, or pause"},
		{ConfigWritable, "A service can write to a file that comes from Git; the next deploy would undo the change.", "mount it read-only, or move the data to a volume"},
		{UnfencedStart, "The stack was started although neither Git nor the record remote answered, so another host may own it.", "bring Git or the remote back; the check is repeated"},
		{Fenced, "Another host has taken over this stack; here it is stopped, and its data is kept.", "nothing to do"},
		{HandedOver, "The stack was stopped and handed over for a move that did not finish; no host starts it automatically.", "run " +
			"the move again, or run salvor apply to start it where it was"},
		{ClaimOffBranch, "The claim that decides which host owns a stack names a commit that is not on the branch: a " +
			"recovery made the commit while the Git host was down and it is not pushed yet, or the branch was reset to " +
			"an earlier commit. The claim still counts.", "push that commit from the clone that made it; salvor claim ls STACK shows the claim"},
		{ClaimIgnored, "A file on the record remote looks like a claim, but the fleet did not sign it for that place. It is ignored.", "salvor " +
			"claim ls shows it; find out who wrote it; salvor claim drop deletes it"},
		{RecordIgnored, "A file on the record remote looks like a host's report (facts/, proven/) or like the new place " +
			"of the record (moved.json), but it is not signed by the host that had the stack at that epoch, or by the " +
			"fleet. It is ignored.", "find " +
			"out who wrote it (every host and the remote's administrator can write there), then delete it there"},
		{ClaimMissing, "The claim of a stack's placement is not on the record remote; only Git says which host owns the stack.", "salvor apply puts it back"},
		{VolumeEmpty, "A protected volume that had data is empty.", "salvor restore STACK, or, if it is intended, salvor " +
			"snapshot take STACK --accept-shrunk"},
		{VolumeMissing, "A protected volume does not exist.", "salvor apply"},
		{VolumeShrunk, "A protected volume lost most of its data since the last snapshot.", "look at the data; if it is " +
			"intended: salvor snapshot take STACK --accept-shrunk"},
		{VolumeSparse, "A protected volume has huge files that are almost empty (sparse). They are not read, so no snapshot is taken.", "make them smaller, or set protect: none if they may be lost"},
		{VolumeExcluded, "All that a protected volume has is left out of snapshots: its exclude: matches everything, or the " +
			"volume itself is marked as a cache (CACHEDIR.TAG). No snapshot is taken, and the newest stays.", "leave out less under x-salvor.volumes, or set protect: none if all of it may be lost"},
		{SnapshotHook, "A hook of a stack's snapshots failed or took longer than its limit. If it is one before the snapshot, none was taken, and the newest stays; " +
			"those after it have run.", "correct the command under x-salvor.hooks (or docker-volume-backup's label), or raise its limit; salvor snapshot take STACK"},
		{SharedDatabase, "There are files of a database in a shared volume: on a remote's mount it would be corrupt after an interruption. The stack is not started.", "set " +
			"protect: snapshot for the volume, and move the data there; or remove the files from the remote"},
		{VolumeOccupied, "There is data in the place of a volume, or a running project with the stack's name, and Salvor " +
			"does not know whether it belongs to the stack. It is left as it is.", "salvor " +
			"apply --take STACK uses it as the stack's data; --restore STACK and --fresh STACK set it aside; or move it " +
			"away, or give the stack another name"},
		{VolumeTaken, "Salvor's notes about a volume were lost. The data on the host was in use at the present " +
			"placement, so it was used as it is, not restored.", "nothing to do"},
		{VolumeKept, "Data was moved aside because other data took its place. It is deleted only when a snapshot contains exactly this data.", "look " +
			"at it; remove it on the host if it is not needed"},
		{VolumeRenamed, "A volume with data was removed from the stack, and a new one, which would start empty, was added.", "if " +
			"it was renamed: formerly: OLD under x-salvor.volumes.NEW; if not: salvor apply --empty STACK"},
		{NoteUnreadable, "One of Salvor's own files on a host is damaged or was written by a newer version; it is treated as missing.", "salvor apply writes it again"},
		{HostKeyLost, "The host's identity is missing or damaged: it can't open its stacks' secrets, so no stack starts after a boot.", "salvor host add HOST ADDRESS makes a new one, then salvor apply"},
		{HostOtherKey, "In Git, a host's secrets are sealed for a key other than the one that the host reports: " +
			"hosts/HOST.pub was changed, or another machine answers. Nothing is sealed.", "salvor " +
			"host add HOST USER@ADDRESS pins the host's own key again; git log -- hosts/HOST.pub shows who changed it"},
		{DiskFull, "Salvor can't write its own files on a host. Running stacks keep running, and stacks can start.", "make room on the disk that holds /var/lib/salvor"},
		{SnapshotLate, "The data that could be restored from a target is older than the goal.", "salvor snapshot take STACK"},
		{TargetSilent, "A stack was restored while one of its snapshot targets did not answer, or was not asked.", "nothing to do, unless " +
			"newer data is needed: salvor snapshot ls STACK lists it once the target answers"},
		{SnapshotUnverified, "Uploaded data does not read back as it was written.", "salvor snapshot take STACK " +
			"takes a new one of the data on the host"},
		{SnapshotLasts, "A snapshot, or a copy of one to another target, has been running for more than ten minutes. The first one of much data takes long; " +
			"otherwise something may be blocking it. A copy delays no snapshot on other targets.", "wait, " +
			"or look at what is in the volume; the snapshot is given up after three days, and the next one continues " +
			"from there"},
		{RemoteDenied, "A host's login to a remote has ended or was revoked. Snapshots and reports wait until it is renewed; nothing is lost meanwhile.", "salvor remote renew REMOTE, then salvor apply"},
		{FirstUpload, "The first snapshot of a stack's data, or of a host's own, is yet to be uploaded; the plan says how much that is, how long it takes and what is free.", "nothing to do; salvor remote test measures how fast a remote is"},
		{SnapshotWaits, "A remote accepts no more uploads today (Google Drive: 750 GB). The snapshot continues when it does; uploads are kept.", "wait"},
		{SnapshotFailed, "The last snapshot failed.", "salvor snapshot take STACK"},
		{RestoreFailed, "A restore of the stack failed; the stack keeps running as it was, and the restore is not retried automatically.", "salvor " +
			"restore STACK --snapshot ID tries again; salvor restore STACK --withdraw cancels it"},
		{NotAsCommitted, "The stack does not run as in the newest commit. Either that version did not become healthy and " +
			"the previous version runs (after an image change of a stack with data: with its previous data), or its " +
			"deploy is still running or was interrupted.", "salvor " +
			"rollback STACK, or correct it and run salvor apply"},
		{CrashLoop, "A service keeps ending, and Docker restarts it after ever longer pauses.", "salvor logs STACK SERVICE says why; once it is repaired: salvor restart STACK SERVICE"},
		{ServiceDown, "A service that should run does not, or its health check fails.", "salvor logs STACK SERVICE says why; salvor restart STACK starts it again"},
		{EngineMissing, "A host whose Docker Salvor does not take care of (manage: in fleet.yaml) lacks an engine or Compose: " +
			"its stacks are not started.", "salvor host take HOST docker, then salvor apply; or install it there yourself"},
		{ClockWrong, "A host's clock and that of the operator's computer are more than five minutes apart. No snapshot is lost: " +
			"which one is newer is decided by numbers. The ages that are shown are wrong.", "timedatectl " +
			"on both shows which is wrong, and what sets it"},
		{RebootRequired, "Security upgrades that are installed on a host, such as a kernel, count only after a reboot. Salvor does not reboot hosts.", "reboot " +
			"the host when its stacks may be away for a minute; they start again automatically"},
		{SSHOverruled, "sshd on a host whose SSH Salvor takes care of (manage: ssh) does otherwise than its drop-in says, for all logins or, by a Match, for some: by what `sshd -T` prints. " +
			"The finding names the line that does it. Salvor does not change files of others.", "change " +
			"that line on the host, then systemctl reload ssh there"},
		{PortPublic, "A container's port is published on an address of the host that is reachable from the internet, and is not under open: of the host. " +
			"The finding says whether Salvor's firewall closes it.", "publish " +
			"it on 127.0.0.1 or the tailnet's address; or list it under hosts.HOST.open"},
		{HistoryLost, "The remote has none of the proven snapshots of a stack. A disk may not be mounted there, or the " +
			"repository was emptied or deleted.", "bring " +
			"it back; if it is lost permanently, salvor snapshot take STACK --accept-loss takes a new one of the data on " +
			"the host, and salvor apply --fresh STACK starts empty"},
		{SnapshotRolledBack, "The remote lists older snapshots of a stack, but not the newest proven one. It was reset " +
			"to an earlier copy, or snapshots were deleted there.", "bring " +
			"it back; or use another one with salvor restore STACK --snapshot ID, the newest that is left with salvor " +
			"recover --accept-loss, or the data on the host with salvor snapshot take STACK --accept-loss"},
		{SnapshotFuture, "Snapshots on the remote have an epoch that the stack's placement has not reached. They were " +
			"not taken by a host of the fleet for this stack; they do not count, and Salvor does not remove them.", "find " +
			"out who can write to the remote; salvor snapshot ls STACK lists them"},
		{SnapshotUnproven, "Some snapshots on the remote are not proven: a host was interrupted, or someone else put " +
			"them there. They do not displace other snapshots, and they are only restored by their id.", "salvor " +
			"snapshot take STACK takes a proven one; salvor restore STACK --snapshot ID restores an unproven one anyway"},
		{SnapshotDamaged, "A snapshot on the remote can't be restored: parts of it are lost or changed there. It is skipped and does not count.", "salvor " +
			"snapshot take STACK uploads again what the remote lost and the host still has; salvor snapshot ls STACK " +
			"lists the good ones"},
		{PruneDue, "A target that is append_only has more snapshots of a stack than its retention keeps. Hosts delete nothing there.", "salvor snapshot prune STACK, from the operator's computer"},
		{AdoptDiffers, "A stack is to be taken over as it runs, and its containers were not started with what the files in Git say. Nothing is taken over.", "put the files in Git as they are on the host; or, of a project of Komodo, Dockge or Portainer, or with a name of its own, deploy it again in what started it, then run this again"},
		{StackDraft, "A stack's Compose file is a draft: `salvor adopt` made it of the containers that run on its host, which has no Compose file of them. Nothing is done with it until it is taken over.", "look through the file, then salvor apply --adopt STACK makes the containers again from it; their data stays"},
		{ProjectRenamed, "x-salvor.project is changed, and containers of the project before are on the host.", "set it back: a project's name never changes"},
		{Ungated, "The stack's containers were created before the gate; after a boot Docker itself may start them.", "salvor apply recreates them at the next change"},
		{PauseTooLong, "The snapshot needed a longer pause than allowed and was given up.", "raise pause_limit, or use a native method"},
		{PauseBroken, "Containers started while their stack was paused for a snapshot, at every attempt: the snapshot " +
			"may contain part of what they wrote.", "salvor logs STACK says why a service keeps starting; then salvor snapshot take STACK"},
		{Paused, "A service is paused, but not by a running snapshot.", "docker " +
			"compose -p STACK unpause on the host; salvord itself resumes services that a snapshot left paused, within a " +
			"minute"},
		{DumpFailed, "A database can't be dumped, or its dump can't be loaded; snapshots contain its files instead, copied during a pause.", "correct " +
			"what the database reports, or set consistent: pause"},
		{DumpUntried, "A dump was not loaded as a test, so it is not yet proven that it can be loaded.", "make room on the host"},
		{DumpChanged, "A part of a database is restored in another place than before.", "keep tablespaces in folders of the volume"},
		{MountNested, "A service can write to a folder that contains the source of another mount. It could replace that " +
			"source with a link, and Docker follows the link when the other container starts next: that container then " +
			"has access to another folder of the host.", "mount the outer folder read-only, or move the inner one out of it"},
		{IngressUnset, "Public hostnames are declared with provider: cloudflare, and fleet.yaml does not say with which account or token of Cloudflare they are published: none is.", "set ingress.account and ingress.token"},
		{RouteClosed, "A public hostname is declared, and not published: something in its declaration can't be as it says, or the protection that it asks for can't be had. Nothing is published with less protection than it asks for.", "correct the place that it names; docs/routes.md says what each label and key may have"},
		{RouteTaken, "Two stacks, or a stack and an entry of ingress.routes, declare one hostname. A hostname belongs to one of them, with all its paths: the one that has it keeps it, and the other's routes are not published.", "use another hostname, or remove one of the two"},
		{RoutePath, "A path is protected, and cloudflared serves more than Access protects: it looks for the path as a regular expression anywhere in the request's path, Access at its beginning. Or a hostname with `*` is: DNS and cloudflared take names of several levels below it, Access those of one.", "write the path as ^/PATH(/|$), or protect the whole hostname; declare each hostname instead of one with `*`"},
		{LabelIgnored, "A label for a public hostname does not have the effect that it seems to have: it is misspelt, has a value that counts as false, or is behind a gap in the indexes.", "write the label that the finding names, or remove it"},
		{RouteBlocked, "A public hostname is not published, or stays as it is, since Cloudflare has something in its place: a record, application or rule that is not Salvor's, or one that another stack, fleet or host has; or no zone that the token may change contains it.", "remove what the finding names, at Cloudflare, or use another hostname"},
		{RoutesKept, "Nothing declares more than 5 and more than 30 % of a host's public hostnames any more. That is more likely a mistake than meant: the host takes none of them off, and publishes nothing new. It still closes what can't be protected.", "`salvor plan` shows what would go; `salvor apply` takes it off"},
		{RoutesLate, "A host could not look at Cloudflare, or not change what it has to: its API does not answer, the token was refused or lacks a permission, or salvord does not run. What is published stays as it is, and the host tries again.", "do what the finding names: mend the token of `ingress` and `salvor apply`, or wait for Cloudflare"},
		{RouteUnreached, "A public hostname leads to a name that nothing has in the connector's network, or to the connector's own localhost: its requests get status 502.", "put the service into the network that ingress.network names, or declare the route under x-salvor.routes"},
		{RouteShared, "A public hostname leads to a name that containers of two services have in the connector's network: each gets some of the requests.", "lead the route to a name that only one has, such as its container_name, or declare it under x-salvor.routes"},
		{ConnectorSilent, "A host's connector has had no connection to Cloudflare for two minutes: none of the host's hostnames answers.", "look at the connector's log, and whether the host reaches the internet on port 7844"},
		{ConnectorKept, "A host's connector was to be replaced, for another image, token or setting, and the new one does not start. The one before runs on; the update is tried again every ten minutes.", "look at the connector's log; correct the setting, then salvor apply"},
		{TunnelUnusable, "The host's tunnel can't be found, made or used at Cloudflare. A connector that runs keeps running; changes wait.", "do what the finding says"},
		{TokenLacks, "Cloudflare does not take the token of ingress, or it lacks a permission that publishing the declared hostnames needs.", "make or change the token at Cloudflare's dashboard, then salvor secret set"},
		{SettingUnused, "The setting is known, but this version of Salvor does not support it yet.", "keep or remove it; a later version will use it"},
		{StackUnplaced, "The stack does not name a host: it is not deployed, or stays where it was deployed.", "set host: under x-salvor"},
		{VariableUnset, "A Compose file uses a variable that is not set; it becomes an empty text. In a mount, where " +
			"that changes the path, it is fatal.", "set it under vars:, in stack.env, or as a secret of the stack"},
		{MountAbsent, "An external mount of a stack (a disk or a share: declared under mounts of the host, or a folder with " +
			"protect: external) is not mounted on its host; the stack does not start on the empty mount point, and no snapshot is taken of it.", "mount " +
			"it: the stack then starts automatically"},
		{MountKept, "A mount was removed from fleet.yaml while a stack or a container still uses it; it stays mounted.", "stop " +
			"what uses it: the mount is then removed automatically; or declare it again"},
		{TailnetAbsent, "A host that is to be in the tailnet is not, or not now: its key was refused or used up, a tag is not " +
			"owned, the control server does not answer, or someone logged it out. All else on the host goes on; stacks that use " +
			"SALVOR_TAILNET_IP wait.", "what " +
			"the text says, then salvor apply; stacks that wait start automatically once the tailnet is up"},
		{TailnetExpires, "A host's key in the tailnet has an end: from then on the host is logged out.", "disable " +
			"the key's expiry in the tailnet's admin console, or have the host join with a tag, whose keys don't expire"},
		{SharedUnmounted, "The shared volumes of a stack are not mounted on its host; the stack does not start without them.", "salvor remote test REMOTE"},
		{SharedFull, "The cache of a stack's shared volumes, or its disk, is full of what is not on the remote yet. Programs that write " +
			"get \"no space left on device\"; reading continues.", "make room, raise x-salvor.shared.cache, or bring the remote back"},
		{SharedLate, "Files of a stack's shared volumes were written more than an hour ago and are not on the remote yet.", "salvor remote test REMOTE"},
		{DivergedFiles, "A host has files of a shared volume that were not uploaded before the stack was lost, or that would have been mixed with " +
			"others after its mounter was killed. They are kept in /var/lib/salvor/quarantine on that host and are never uploaded.", "look " +
			"at them there, copy what is needed into the volume, then delete the folder"},
		{StackTakenOver, "The record has a claim of another host for a stack, at its placement's epoch or a later one: a " +
			"commit that this clone does not have placed it there. The stack is left as it is; the others are applied.", "git " +
			"pull --rebase, then salvor plan; if that commit was never pushed, push it from the clone that made it"},
		{StackBroken, "A stack's files have errors, so Salvor does not know what to deploy. The stack is left as it is; the others are applied.", "correct " +
			"the line that is shown, then run salvor check"},
		{NotInGit, "A stack uses a file that is not in Git, because it is ignored or was not added: hosts do not get it.", "salvor secret import FILE for an env file, git add -f FILE for any other"},
		{NotCommitted, "A stack or another file of the fleet is different in the working tree from the newest commit. Only what is committed is deployed.", "git add FILE, then git commit; git stash sets it aside"},
		{CloneBehind, "The branch at the Git host has commits that this clone does not have, so the plan is made without them and an apply would be refused.", "git pull --rebase"},
		{DataInGit, "A folder that a service writes to was committed with its data: the copy from Git would overwrite newer data.", "git rm -r --cached FOLDER, and name it in .gitignore"},
		{HostFileUnused, "A host's public key is in hosts/, but fleet.yaml does not declare that host.", "declare the host, or remove the file"},
		{SecretInClear, "A file in the repository contains an unencrypted secret, which every reader of the repository can use.", "salvor secret set " +
			"NAME, and change the value where it is used: Git keeps its history"},
		{SecretExposed, "A secret is in a container's environment or definition: docker inspect shows it, every process " +
			"of the container has it, and Docker keeps it on the host's disk, in /var/lib/docker/containers and in " +
			"containerd's metadata under /var/lib/containerd.", "deliver it as a file: list it under secrets: and point the image at it, as with POSTGRES_PASSWORD_FILE"},
		{KeyUnproven, "The recovery key was never tried, or not for a year; if the card does not work, you would find out when you need it.", "salvor key prove --identity CARD"},
		{IdentityExposed, "Other users of this computer can read or write the file of a key that opens everything: an " +
			"operator's key, or the recovery card.", "chmod " +
			"600 FILE; if someone may have read it, salvor key rotate --compromised"},
		{IdentityInClear, "An operator's key has no passphrase: anyone who gets the file, or a backup of it, can open everything.", "salvor key rotate makes one with a passphrase"},
		{SealUntrusted, "A sealed file does not have the signature of the fleet's signing key: someone who can push " +
			"replaced or damaged it. No host and no operator opens it.", "git " +
			"log -- FILE shows who changed it; salvor apply seals it again for hosts, git checkout COMMIT -- FILE " +
			"FILE.sig restores the passwords of repositories and the recovery key"},
		{HostsUntrusted, "A host's keys (`hosts/HOST.pub`) or `hosts/authorized_keys` do not have the signature of the " +
			"fleet's signing key: they were written without Salvor. The plan lists the access that they give as grants.", "git " +
			"log -- FILE shows who changed it; salvor apply asks you to confirm the grants and then signs it; git " +
			"checkout COMMIT -- FILE FILE.sig restores the earlier version"},
		{MirrorUntrusted, "A file on the record remote looks like a mirror of the repository, but the fleet's signing " +
			"key did not sign it, or did not sign its content. It is ignored. Reported by every command that reads the " +
			"mirrors.", "find " +
			"out who wrote it (every host and the remote's administrator can write there), then delete it there"},
		{JournalUntrusted, "A file in the operators' journal is not an entry signed by the fleet's signing key. It is " +
			"ignored. Reported by salvor secret audit.", "find " +
			"out who wrote it (every host and the remote's administrator can write there), then delete it there"},
		{SecretSeen, "A secret still has a value that a removed operator, a removed host or the holder of a replaced key could read.", "salvor " +
			"secret rotate NAME; change values that a provider issues at the provider first"},
		{SecretMissing, "fleet.yaml names a secret that does not exist: for a rotation period, or as ingress.token.", "salvor secret set NAME, or correct the name"},
		{SecretLate, "A secret is older than its rotation period in fleet.yaml.", "salvor secret rotate NAME --generate"},
		{VaultPasswordWeak, "The password of Ansible Vault files looks like one that a person chose; their key " +
			"derivation is weak, so anyone who has the files can guess it. Reported when a vault is opened or its " +
			"password is set.", "salvor secret rotate NAME --generate, and ansible-vault rekey for the files under it"},
		{PortTaken, "Two services on one host publish the same port: the second to start fails.", "change the published port of one of them"},
		{ContainerTaken, "Two stacks of one host have services with the same container_name: the second to start fails.", "remove the container_name of one of them"},
		{NetworkMissing, "A stack is in an external network that neither fleet.yaml nor another stack of its host makes, or " +
			"that a stack makes which may start later: Docker refuses to start it. One that runs already is only " +
			"reported: its next host would not have the network.", "declare " +
			"the network under networks: in fleet.yaml, or name the stack that makes it under x-salvor.needs"},
		{FolderUnused, "A folder of stacks/ has no Compose file, and no stack's Compose file names it: it is neither a stack nor shared by stacks.", "add " +
			"compose.yaml, or move the folder out of stacks/"},
		{FileUnused, "A stack's folder has two Compose files, or two override files, next to each other. Compose takes one of them and ignores the other.", "remove it, or name all files in COMPOSE_FILE in stack.env"},
		{GitUnpinned, "The Git host's key is not pinned in hosts/known_hosts, so hosts do not read the repository.", "salvor apply pins it"},
		{GitUnread, "A host can't read the control repository. If the record remote is away too, the host does not learn that another host has taken over a stack.", "salvor host add HOST ADDRESS prints its deploy key: add it, read-only, at the Git host"},
		{AnswerRefused, "A host's answer contained things that it was not asked for: about another host, a stack that is " +
			"not placed there, another image, or an impossible time. These parts were dropped, and the rest was used.", "look " +
			"at the host: salvord does not answer like that; if others have root there, salvor recover HOST --to OTHER"},
		{RemoteInvalid, "A remote can't work as it is declared.", "see docs/snapshots.md"},
		{RegistryInvalid, "A registry's login uses a secret that opens the fleet. Such a secret is never given to a host.", "salvor " +
			"secret set NAME creates a separate secret for the registry"},
		{ImageNotAsLocked, "The Compose file has a different digest of an image than salvor.lock, which has the one from " +
			"the last deploy. The digest in the Compose file is what runs.", "salvor " +
			"apply deploys it and records it in salvor.lock"},
		{TargetMissing, "A stack has data that needs snapshots, but the fleet does not declare a snapshot target: the stack is not deployed.", "declare data.snapshots in fleet.yaml, or protect: none for a volume that may be lost"},
		{RecordMissing, "There are stacks to deploy, but the fleet has no remote for its record, which hosts need to know that a stack is their own.", "declare a remote under remotes: in fleet.yaml"},
		{HookMissing, "This clone has no pre-commit hook that calls salvor: a fresh git clone has none, and with " +
			"core.hooksPath Git runs others. An unencrypted secret could be committed unnoticed.", "make " +
			"the hook, or call salvor scan --staged and salvor check --staged from your own hook"},
		{HostRenamed, "A host that has stacks is no longer declared, and a new host is declared. It may be the same machine under a new name.", "if " +
			"it was renamed: formerly: OLD under hosts.NEW"},
		{RecordMoved, "fleet.yaml has a different place for the record than the present one, or no longer declares its " +
			"remote. Hosts read there which host owns a stack, so the record stays where salvor.lock has it.", "salvor record move REMOTE"},
		{DoesNotFit, "A stack is to be placed on a host that lacks what it needs, or where something else has it: a port, a " +
			"container name, a device, a network, memory, room for its data. Nothing is stopped or placed for it. A memory limit " +
			"that is higher than the host's memory is only reported.", "make " +
			"it free there, choose another host, or continue without the stack: salvor recover HOST --without STACK; salvor recover HOST shows where each stack fits"},
		{ComposeRefused, "Docker Compose on the host does not accept the project, although it is valid by the specification.", "change the Compose file, or install a newer Compose on the host"},
		{SealMissing, "salvor.lock has a placement whose sealed file with its secrets is missing; both are written in one commit.", "git " +
			"checkout COMMIT -- FILE from a commit that has it"},
	}
}
