// Files that hold state: ours alone (0600 in folders of 0700), never followed through a link, replaced as a whole or
// not at all. Stateless functions, thread-safe.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace hexr::store {

// Makes the folder (0700) when it is missing. FAILED_PRECONDITION, with what to type, when it is not a folder, not ours
// or open to others.
Status EnsurePrivateFolder(const std::string& path);

// FAILED_PRECONDITION when the file is not a plain file, not ours or open to others; NOT_FOUND when there is none.
Status CheckPrivateFile(const std::string& path);

// The folder a file is in: "." for a bare name.
std::string FolderOf(const std::string& path);

// Checked as above, then read whole: at most `max_bytes`. Through a Secret, since most of these files hold one.
Result<crypto::Secret> ReadPrivateFile(const std::string& path, size_t max_bytes);

// Makes an empty file of mode 0600 unless it exists.
Status TouchPrivateFile(const std::string& path);

// Writes beside, syncs, renames, syncs the folder: after a power cut there is the old file or the new one.
// RESOURCE_EXHAUSTED on a full disk, with the old file untouched.
Status ReplacePrivateFile(const std::string& path, ByteView content);

}  // namespace hexr::store
