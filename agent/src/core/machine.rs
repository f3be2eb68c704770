//! QEMU argument lists and QMP commands.
