// Whether what was once read of a file may be remembered under its inode, size and ctime.
#pragma once

#include "base/clock.h"

namespace hexr::runtime {

// True: whoever changes the content from now on changes the ctime with it, so that what is read from now on holds for
// as long as inode, size and ctime stay as they are. Ask before reading, with the time from before the ctime was looked
// at.
//
// A ctime alone proves nothing. Pages of a shared mapping tell no time on tmpfs and overlayfs, and elsewhere only when
// they are first written after having been stored: so they are stored here. A file of one's own can be given other
// blocks by its owner (EXT4_IOC_MOVE_EXT, XFS_IOC_SWAPEXT) without any time moving: so it has to be one that root alone
// can write, in a file system known for keeping its times. Other writers, and other file systems, are read each time.
// `fd` is open for reading. Asks the file system, and may wait for it to store. Thread-safe.
bool ChangesShow(int fd, WallTime now);

}  // namespace hexr::runtime
