#!/bin/sh
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes of a minimal Debian tree ($1) what a cloud provider's droplet is at its first boot.
set -eu
root=$1

# Two droplets with one host key would be one droplet to an SSH client. And an image from today holds no package lists,
# but looks to apt's users as if it had just fetched them.
rm -f "$root"/etc/ssh/ssh_host_*
cat > "$root/etc/systemd/system/first-boot.service" <<'UNIT'
[Unit]
Description=First boot of this droplet
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/touch --date=@0 /var/lib/apt/lists
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=ssh.service
UNIT
chroot "$root" systemctl --quiet enable first-boot.service ssh.service

install -d -m 0700 "$root/root/.ssh"
printf 'PermitRootLogin prohibit-password\nPasswordAuthentication no\n' > "$root/etc/ssh/sshd_config.d/50-cloud.conf"

# PostgreSQL takes a new cluster's encoding from here
echo 'LANG=C.UTF-8' > "$root/etc/default/locale"

# What manages a machine's hardware and kernel: in a container it fails, or reaches the machine that it runs on
chroot "$root" systemctl --quiet mask \
  systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service \
  systemd-modules-load.service systemd-sysctl.service systemd-remount-fs.service systemd-firstboot.service \
  sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
  dev-hugepages.mount dev-mqueue.mount getty.target getty@tty1.service console-getty.service

# apt's own timers would take its lock in the middle of a play
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service \
  dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
