# in /out: Debian's docker.io under the name of Docker's own package; docker.io
# itself conflicts with that name, so that a metapackage over it can't exist
cd /tmp
apt-get update -q
apt-get download -q docker.io
dpkg-deb -R docker.io_*.deb root
sed -i -e 's/^Package: .*/Package: docker-ce/' -e 's/^Conflicts: .*/Conflicts: docker.io/' \
  -e 's/^Depends: /Depends: docker-ce-cli, containerd.io, /' -e '/^Source: /d' root/DEBIAN/control
dpkg-deb -b root /out
