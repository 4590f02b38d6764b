package finding

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
	Released           Code = "released"
	ClaimMissing       Code = "claim-missing"
	ClaimOffBranch     Code = "claim-off-branch"
	ClaimIgnored       Code = "claim-ignored"
	RecordIgnored      Code = "record-ignored"
	VolumeEmpty        Code = "volume-empty"
	VolumeMissing      Code = "volume-missing"
	VolumeShrunk       Code = "volume-shrunk"
	VolumeSparse       Code = "volume-sparse"
	VolumeOccupied     Code = "volume-occupied"
	VolumeTaken        Code = "volume-taken"
	VolumeKept         Code = "volume-kept"
	VolumeRenamed      Code = "volume-renamed"
	NoteUnreadable     Code = "note-unreadable"
	HostKeyLost        Code = "host-key-lost"
	HostOtherKey       Code = "host-recipient-differs"
	DiskFull           Code = "disk-full"
	SnapshotLate       Code = "snapshot-late"
	SnapshotUnverified Code = "snapshot-unverified"
	SnapshotLasts      Code = "snapshot-lasts"
	SnapshotFailed     Code = "snapshot-failed"
	RestoreFailed      Code = "restore-failed"
	NotAsCommitted     Code = "not-as-committed"
	SnapshotDamaged    Code = "snapshot-damaged"
	HistoryLost        Code = "snapshot-history-lost"
	SnapshotRolledBack Code = "snapshot-rolled-back"
	SnapshotFuture     Code = "snapshot-from-the-future"
	SnapshotUnproven   Code = "snapshot-unproven"
	PruneDue           Code = "prune-due"
	Ungated            Code = "ungated"
	PauseTooLong       Code = "pause-too-long"
	PauseBroken        Code = "pause-broken"
	Paused             Code = "paused"
	DumpFailed         Code = "dump-failed"
	DumpUntried        Code = "dump-untried"
	DumpChanged        Code = "dump-changed"
	MountNested        Code = "mount-nested"
	SettingUnused      Code = "setting-unused"
	StackUnplaced      Code = "stack-unplaced"
	VariableUnset      Code = "variable-unset"
	MountAbsent        Code = "mount-absent"
	StackTakenOver     Code = "stack-taken-over"
	StackBroken        Code = "stack-broken"
	NotInGit           Code = "not-in-git"
	DataInGit          Code = "data-in-git"
	HostFileUnused     Code = "host-file-unused"
	SealMissing        Code = "seal-missing"
	ComposeRefused     Code = "compose-refused"
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
	RemoteInvalid      Code = "remote-invalid"
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
)

// Row documents one code.
type Row struct {
	Code    Code
	Meaning string
	Fix     string
}

// Table returns every code with its meaning, in the order of the documentation.
func Table() []Row {
	return []Row{
		{MountUnclassified, "A mount is neither data, config from Git nor a known host path: nobody would notice if it were lost.", "name it under x-salvor.volumes"},
		{DatabaseLiveCopy, "A database would be copied while it runs; such a copy starts and is wrong.", "set consistent: to the database's method, or pause"},
		{ConfigWritable, "A service can write to a file that comes from Git; the next deploy would undo it.", "mount it read-only, or move the data to a volume"},
		{UnfencedStart, "The stack was started although neither Git nor the record remote answered, so nobody knows whether another host owns it.", "bring Git or the remote back; the check is repeated"},
		{Fenced, "Another host has taken this stack over; here it is stopped and its data kept.", "nothing to do"},
		{Released, "The stack was stopped and handed over for a move that did not finish; it starts nowhere by itself.", "run the move again, or salvor apply to start it where it was"},
		{ClaimOffBranch, "The claim that decides whose a stack is names a commit that is not on the branch: a recovery made it while the Git host was away and it was not pushed yet, or the branch went back to an earlier commit. It decides all the same.", "push that commit from the clone that made it; salvor claim ls STACK shows the claim"},
		{ClaimIgnored, "A file on the record remote looks like a claim, and the fleet did not sign it for that place. It rules nothing.", "salvor claim ls names it; find out who wrote it; salvor claim drop deletes it"},
		{RecordIgnored, "A file on the record remote looks like what a host found out (facts/, proven/) or says where the record is (moved.json), and no host that had the stack at that epoch, or not the fleet, signed it. It is passed over.", "find out who wrote it: every host can write to the remote, and so can who runs it; then delete it there"},
		{ClaimMissing, "The claim of a stack's placement is not on the record remote; whose the stack is rests on Git alone.", "salvor apply puts it back"},
		{VolumeEmpty, "A protected volume that had data is empty.", "salvor restore STACK, or salvor snapshot take STACK --accept-shrunk when it is meant"},
		{VolumeMissing, "A protected volume does not exist.", "salvor apply"},
		{VolumeShrunk, "A protected volume lost most of its data since the last snapshot.", "look at it; salvor snapshot take STACK --accept-shrunk when it is meant"},
		{VolumeSparse, "A protected volume has huge files of which hardly anything is written. They are not read, so no snapshot is taken.", "make them smaller, or set protect: none if they may be lost"},
		{VolumeOccupied, "There is data where a volume would start, or a running project of the stack's name, and nothing says whose it is. It stays as it is.", "salvor apply --take STACK takes it as the stack's data; --restore STACK and --fresh STACK keep it beside; or move it away, or give the stack another name"},
		{VolumeTaken, "Salvor's notes about a volume were lost. The data on the host was in use at the present placement, so it was taken as it is, not restored.", "nothing to do"},
		{VolumeKept, "Data was moved aside because other data took its place. It is deleted only when a snapshot holds exactly this data.", "look at it; remove it on the host when nobody misses it"},
		{VolumeRenamed, "A volume with data is gone from the stack while a new one appeared, which would start empty.", "formerly: OLD under x-salvor.volumes.NEW when it was renamed; salvor apply --empty STACK when it was not"},
		{NoteUnreadable, "A file of Salvor's own on a host is damaged or was written by a newer version; it counts as none.", "salvor apply writes it again"},
		{HostKeyLost, "The host's identity is gone or damaged: it can't open its stacks' secrets, so nothing starts after a boot.", "salvor host add HOST ADDRESS makes a new one, then salvor apply"},
		{HostOtherKey, "Git has a host's secrets sealed for another key than the host itself says that it has: somebody changed hosts/HOST.pub, or another machine answers. Nothing is sealed.", "salvor host add HOST USER@ADDRESS pins the host's own again; git log -- hosts/HOST.pub says who changed it"},
		{DiskFull, "Salvor can't write its own files on a host. What runs goes on, and stacks start.", "make room on the disk that holds /var/lib/salvor"},
		{SnapshotLate, "The newest snapshot on the remote is older than the goal.", "salvor snapshot take STACK"},
		{SnapshotUnverified, "What was uploaded does not read back as it was written.", "salvor snapshot take STACK makes a new one of what is on the host"},
		{SnapshotLasts, "A snapshot has been under way for more than ten minutes. The first one of much data takes long; else something may hold it up.", "wait, or look at what the volume holds; it is given up after three days, and the next goes on where it was"},
		{SnapshotFailed, "The last snapshot failed.", "salvor snapshot take STACK"},
		{RestoreFailed, "The stack was to go back to a snapshot, and that failed; it runs on as it was, and nothing tries again by itself.", "salvor restore STACK --snapshot ID tries again; salvor restore STACK --withdraw gives it up"},
		{NotAsCommitted, "What the newest commit has for the stack does not run: it did not become healthy, and what ran before runs (for an image change of a stack with data on the data of before), or its deploy is under way or was cut short.", "salvor rollback STACK, or mend it and salvor apply"},
		{HistoryLost, "The remote has none of the snapshots of a stack that were proven. A disk may not be mounted there, or the repository was emptied or deleted.", "bring it back; where it is lost for good, salvor snapshot take STACK --accept-loss takes a new one of what is on the host, and salvor apply --fresh STACK starts empty"},
		{SnapshotRolledBack, "The remote lists older snapshots of a stack and not the newest that was proven. It went back to an earlier copy, or snapshots were deleted there.", "bring it back; salvor restore STACK --snapshot ID goes on with another one, salvor recover with --accept-loss with the newest that is left, salvor snapshot take STACK --accept-loss with what is on the host"},
		{SnapshotFuture, "Snapshots on the remote say an epoch that the stack's placement has not reached. No host of the fleet took them for it; they count for nothing, and nothing removes them.", "find out who can write to the remote; salvor snapshot ls STACK shows them"},
		{SnapshotUnproven, "Snapshots on the remote are none of those that were proven: a host was cut short, or somebody else put them there. They push no other out, and none is restored by itself.", "salvor snapshot take STACK takes a proven one; salvor restore STACK --snapshot ID takes one of these all the same"},
		{SnapshotDamaged, "A snapshot on the remote can't be restored: something of it is lost or changed there. It is passed over, and counts for nothing.", "salvor snapshot take STACK takes again what the remote has lost and the host still has; salvor snapshot ls STACK shows the good ones"},
		{PruneDue, "A target that is append_only has more snapshots of a stack than its retention keeps. Hosts delete nothing there.", "salvor snapshot prune STACK, from the operator's computer"},
		{Ungated, "The stack's containers were created before the gate; after a boot Docker itself may start them.", "salvor apply recreates them at the next change"},
		{PauseTooLong, "The snapshot needed a longer pause than allowed and was given up.", "raise pause_limit, or use a native method"},
		{PauseBroken, "Containers started while their stack was paused for a snapshot, each time it was tried: what they write may be in it in part.", "salvor logs STACK says why a service keeps starting; then salvor snapshot take STACK"},
		{Paused, "A service is paused and does nothing, and no snapshot that is under way has paused it.", "docker compose -p STACK unpause on the host; what a snapshot left behind salvord resumes within a minute"},
		{DumpFailed, "A database can't be dumped, or its dump not be loaded; snapshots hold its files instead, copied in a pause.", "mend what Postgres says, or set consistent: pause"},
		{DumpUntried, "A dump was not loaded for a try, so nothing shows yet that it can be.", "make room on the host"},
		{DumpChanged, "Something of a database comes back elsewhere than it was.", "keep tablespaces in folders of the volume"},
		{MountNested, "A service can write to a folder below which another mount of the stack begins. It may put a link in its place, and Docker follows that when the other container starts next: it then has another folder of the host.", "mount the outer folder read-only, or move the inner one out of it"},
		{SettingUnused, "The setting is known, but this version of Salvor does not act on it yet.", "leave it, or take it out until a version does"},
		{StackUnplaced, "The stack names no host: it is not deployed, or stays where it was deployed.", "set host: under x-salvor"},
		{VariableUnset, "A Compose file names a variable that nothing sets; it becomes an empty text. In a mount, where that makes another path, it is fatal.", "set it under vars:, in stack.env, or as a secret of the stack"},
		{MountAbsent, "Something that a stack has from elsewhere, a disk or a share (protect: external), is not mounted on its host; the stack does not start on the empty mount point.", "mount it: the stack starts then by itself"},
		{StackTakenOver, "The record has a claim of another host for a stack, at its placement's epoch or a later one: a commit that is not here placed it there. It is left as it runs; the others are applied.", "git pull --rebase, then salvor plan; when that commit was never pushed, push it from where it was made"},
		{StackBroken, "A stack's files do not say what to deploy. It is left as it runs, and the others go on.", "correct the place that is named, then salvor check"},
		{NotInGit, "A stack names a file that Git does not have, because an ignore rule names it or nobody added it: no host gets it.", "salvor secret import FILE for an env file, git add -f FILE for any other"},
		{DataInGit, "A folder that a service writes to was committed with its data: delivered from Git it would overwrite what was written since.", "git rm -r --cached FOLDER, and name it in .gitignore"},
		{HostFileUnused, "A host's public key lies in hosts/, but fleet.yaml declares no such host.", "declare the host, or remove the file"},
		{SecretInClear, "A file of the repository holds a secret that anybody who reads it can use.", "salvor secret set NAME, and change the value where it is used: Git keeps what it once held"},
		{SecretExposed, "A secret stands in a container's environment or definition: docker inspect shows it, every process of the container has it, and Docker keeps it on the host's disk, in /var/lib/docker/containers and in containerd's metadata under /var/lib/containerd.", "deliver it as a file: list it under secrets: and point the image at it, as with POSTGRES_PASSWORD_FILE"},
		{KeyUnproven, "Nobody has tried the recovery key, or not for a year; a card that opens nothing is found out on the worst day.", "salvor key prove --identity CARD"},
		{IdentityExposed, "Other users of this computer may read or write the file of a key that opens everything: an operator's, or the recovery card.", "chmod 600 FILE; when somebody may have read it, salvor key rotate --compromised"},
		{IdentityInClear, "An operator's key has no passphrase: who gets the file, or a backup of it, opens everything.", "salvor key rotate makes one with a passphrase"},
		{SealUntrusted, "A sealed file is not what the fleet's signing key has signed: somebody who can push put another in its place, or damaged it. No host and no operator opens it.", "git log -- FILE shows who changed it; salvor apply seals again for hosts, git checkout COMMIT -- FILE FILE.sig brings back the passwords of repositories and the recovery key"},
		{HostsUntrusted, "A host's keys (`hosts/HOST.pub`) or `hosts/authorized_keys` are not what the fleet's signing key has signed: they were written without Salvor. Plan names what they let others do as a grant.", "git log -- FILE shows who changed it; salvor apply asks for the grants and then signs it; git checkout COMMIT -- FILE FILE.sig brings back what was there"},
		{MirrorUntrusted, "A file on the record remote looks like a mirror of the repository, and the fleet's signing key has not signed it, or not its content. It is passed over. Told by whatever looks at the mirrors.", "find out who wrote it: every host can write to the remote, and so can who runs it; then delete it there"},
		{JournalUntrusted, "A file in the operators' journal is no entry that the fleet's signing key has signed. It is passed over. Told by salvor secret audit.", "find out who wrote it: every host can write to the remote, and so can who runs it; then delete it there"},
		{SecretSeen, "A secret still has the value that a removed operator, a removed host or the holder of a replaced key has seen.", "salvor secret rotate NAME; what a provider gives out is changed there first"},
		{SecretMissing, "fleet.yaml gives a period to a secret that is not there.", "salvor secret set NAME, or correct the name"},
		{SecretLate, "A secret is older than the period that fleet.yaml gives it.", "salvor secret rotate NAME --generate"},
		{VaultPasswordWeak, "The password of Ansible Vault files looks like one that a person chose; their key derivation is weak, so it can be guessed by who has the files. Told when a vault is opened or its password set.", "salvor secret rotate NAME --generate, and ansible-vault rekey for the files under it"},
		{PortTaken, "Two stacks of one host publish the same port: the second to start fails.", "publish another port in one of them"},
		{GitUnpinned, "The Git host's key is not pinned in hosts/known_hosts, so no host reads the repository.", "salvor apply pins it"},
		{GitUnread, "A host can't read the control repository. If the record remote is away too, the host does not learn that another host has taken over a stack.", "salvor host add HOST ADDRESS prints its deploy key: add it, read-only, at the Git host"},
		{AnswerRefused, "A host answered what it was not asked: about another host, a stack that is not placed there, another image, a time that can't be. That was dropped, and the rest was used.", "look at the host: salvord does not do that by itself; when others have root there, salvor recover HOST --to OTHER"},
		{RemoteInvalid, "A remote can't work as it is declared.", "see docs/snapshots.md"},
		{RegistryInvalid, "A registry's login is a secret that opens the fleet. It stays with the operators.", "salvor secret set NAME makes a secret of the registry's own"},
		{ImageNotAsLocked, "The Compose file names another digest of an image than salvor.lock has from the last deploy. The Compose file's is what runs.", "salvor apply deploys it, and salvor.lock has it then"},
		{TargetMissing, "A stack has data that needs snapshots, and the fleet declares no target for them: the stack is not deployed.", "declare data.snapshots in fleet.yaml, or protect: none for a volume that may be lost"},
		{RecordMissing, "Stacks are to be deployed, and the fleet has no remote for its record, by which a host knows that a stack is its own.", "declare a remote under remotes: in fleet.yaml"},
		{HookMissing, "No pre-commit hook of this clone calls salvor: a fresh git clone has none, and with core.hooksPath Git runs others. A secret in clear could be committed without a word.", "make the hook, or call salvor scan --staged and salvor check --staged from your own"},
		{HostRenamed, "A host that has stacks is no longer declared, and a new host is. It may be the same machine under a new name.", "formerly: OLD under hosts.NEW when it was renamed"},
		{RecordMoved, "fleet.yaml has another place for the record than the one where it is, or no longer the remote that it is on. Hosts know by what is there whose a stack is, so it stays where salvor.lock has it.", "salvor record move REMOTE"},
		{ComposeRefused, "Docker Compose on the host does not take the project, though it is valid by the specification.", "change the Compose file, or install a newer Compose on the host"},
		{SealMissing, "A placement stands in salvor.lock without the file that brings its secrets; both are written in one commit.", "git checkout COMMIT -- FILE from the commit that had it"},
	}
}
