# in /repo: pool/*.deb → signed dists/<suite>/$component for each of $suites, key in /repo/gpg
cd /repo
export GNUPGHOME=$(mktemp -d)
gpg --batch -q --passphrase '' --quick-generate-key 'lab repository' ed25519 sign never
gpg --batch -q --armor --export >gpg
arch=$(dpkg --print-architecture)
for suite in $suites; do
  dir=dists/$suite/$component/binary-$arch
  mkdir -p "$dir"
  apt-ftparchive packages pool >"$dir/Packages"
  apt-ftparchive -o APT::FTPArchive::Release::Suite=$suite -o APT::FTPArchive::Release::Codename=$suite \
    -o APT::FTPArchive::Release::Components=$component -o APT::FTPArchive::Release::Architectures="$arch" \
    -o APT::FTPArchive::Release::Label=lab release "dists/$suite" >/tmp/Release
  mv /tmp/Release "dists/$suite/Release"
  gpg --batch -q --clearsign -o "dists/$suite/InRelease" "dists/$suite/Release"
done
chmod -R a+rX .
