#include "policy/bundle/archive.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>

#include "policy/documents.h"

namespace hexr::policy {
namespace {

namespace fs = std::filesystem;
constexpr size_t kBlock = 512;

struct Inflater {
  z_stream z = {};
  bool ready = inflateInit2(&z, 15 + 16) == Z_OK;  // gzip alone
  Inflater() = default;
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() {
    if (ready) inflateEnd(&z);
  }
};

Result<std::string> Inflate(std::string_view packed, uint64_t limit) {
  Inflater in;
  if (!in.ready) return Internal("zlib does not start");
  std::string out;
  char block[1 << 16];
  in.z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  in.z.avail_in = static_cast<uInt>(packed.size());
  for (int state = Z_OK; state != Z_STREAM_END;) {
    in.z.next_out = reinterpret_cast<Bytef*>(block);
    in.z.avail_out = sizeof block;
    state = inflate(&in.z, Z_NO_FLUSH);
    const size_t made = sizeof block - in.z.avail_out;
    if ((state != Z_OK && state != Z_STREAM_END) || (made == 0 && in.z.avail_in == 0 && state != Z_STREAM_END))
      return InvalidArgument("not a whole gzip file");
    if (out.size() + made > limit)
      return ResourceExhausted("the bundle unpacks to more than " + std::to_string(limit) + " bytes");
    out.append(block, made);
    // Members may follow one another.
    if (state == Z_STREAM_END && in.z.avail_in > 0) {
      if (inflateReset(&in.z) != Z_OK) return Internal("zlib does not start again");
      state = Z_OK;
    }
  }
  return out;
}

// "./a//b" is a/b; nothing for what leaves the bundle or cannot be a name.
std::optional<std::string> CleanPath(std::string_view path) {
  if (path.size() > limits::kMaxBundlePathBytes) return std::nullopt;
  std::string out;
  for (size_t start = 0; start <= path.size();) {
    const size_t slash = std::min(path.find('/', start), path.size());
    const std::string_view part = path.substr(start, slash - start);
    start = slash + 1;
    if (part.empty() || part == ".") continue;
    if (part == ".." || part.find('\0') != std::string_view::npos || part.find('\\') != std::string_view::npos)
      return std::nullopt;
    out += (out.empty() ? "" : "/") + std::string(part);
  }
  return out;
}

std::string_view Field(std::string_view header, size_t at, size_t size) {
  const std::string_view f = header.substr(at, size);
  return f.substr(0, std::min(f.find('\0'), f.size()));
}

std::optional<uint64_t> Octal(std::string_view text) {
  uint64_t n = 0;
  bool any = false;
  for (char c : text) {
    if (c == ' ') continue;
    if (c < '0' || c > '7' || n >> 60 != 0) return std::nullopt;
    n = n * 8 + static_cast<uint64_t>(c - '0');
    any = true;
  }
  return any ? std::optional(n) : std::nullopt;
}

// Octal, or binary when the first bit is set (GNU, for large files).
std::optional<uint64_t> Size(std::string_view header) {
  if ((static_cast<uint8_t>(header[124]) & 0x80) == 0) return Octal(Field(header, 124, 12));
  uint64_t n = static_cast<uint8_t>(header[124]) & 0x7F;
  for (size_t i = 125; i < 136; ++i) {
    if (n >> 55 != 0) return std::nullopt;
    n = n << 8 | static_cast<uint8_t>(header[i]);
  }
  return n;
}

bool ChecksumFits(std::string_view header) {
  uint64_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<uint8_t>(header[i]);
  const auto said = Octal(Field(header, 148, 8));
  return said && *said == sum;
}

// What a pax header says of the next file: "LENGTH KEY=VALUE\n"…
struct Pax {
  std::optional<std::string> path;
  std::optional<uint64_t> size;
};
std::optional<Pax> ReadPax(std::string_view text) {
  Pax out;
  while (!text.empty()) {
    size_t length = 0, at = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9' && length < text.size(); ++at)
      length = length * 10 + static_cast<size_t>(text[at] - '0');
    if (at == 0 || at >= text.size() || text[at] != ' ' || length <= at + 1 || length > text.size() ||
        text[length - 1] != '\n')
      return std::nullopt;
    const std::string_view record = text.substr(at + 1, length - at - 2);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key == "path") out.path = std::string(value);
    if (key == "size") {
      uint64_t n = 0;
      for (char c : value) {
        if (c < '0' || c > '9' || n > limits::kMaxBundleBytes) return std::nullopt;
        n = n * 10 + static_cast<uint64_t>(c - '0');
      }
      out.size = n;
    }
    text.remove_prefix(length);
  }
  return out;
}

// Adds `file` under a clean path that nobody had before.
Status Keep(std::string_view path, std::string_view bytes, std::set<std::string, std::less<>>& seen,
            std::vector<BundleFile>& out, const ArchiveLimits& limits) {
  const auto clean = CleanPath(path);
  if (!clean || clean->empty())
    return InvalidArgument("the bundle holds a path that leaves it: " + std::string(path.substr(0, 200)));
  if (!seen.insert(*clean).second) return InvalidArgument("the bundle holds " + *clean + " twice");
  if (out.size() >= limits.files)
    return ResourceExhausted("the bundle holds more than " + std::to_string(limits.files) + " files");
  out.push_back({*clean, std::string(bytes)});
  return Ok();
}

}  // namespace

Result<std::vector<BundleFile>> ReadTarGz(std::string_view archive, const ArchiveLimits& limits) {
  ASSIGN_OR_RETURN(const std::string tar, Inflate(archive, limits.unpacked_bytes));
  std::vector<BundleFile> out;
  std::set<std::string, std::less<>> seen;
  Pax pax;
  for (size_t at = 0; at + kBlock <= tar.size();) {
    const std::string_view header = std::string_view(tar).substr(at, kBlock);
    if (header.find_first_not_of('\0') == std::string_view::npos) return out;
    if (!ChecksumFits(header)) return InvalidArgument("not a tar archive: a header's checksum is wrong");
    at += kBlock;
    auto size = Size(header);
    const char type = header[156];
    const bool extension = type == 'x' || type == 'g' || type == 'L' || type == 'K';
    if (pax.size && !extension) size = pax.size;
    if (!size || *size > tar.size() - at) return InvalidArgument("the tar archive is cut off");
    const std::string_view content = std::string_view(tar).substr(at, *size);
    at += std::min<size_t>((*size + kBlock - 1) / kBlock * kBlock, tar.size() - at);
    if (type == 'x') {
      auto read = ReadPax(content);
      if (!read) return InvalidArgument("the tar archive has a broken pax header");
      pax = std::move(*read);
      continue;
    }
    if (type == 'L') {
      pax.path = std::string(content.substr(0, std::min(content.find('\0'), content.size())));
      continue;
    }
    if (type == 'g') continue;
    std::string name(Field(header, 0, 100));
    if (header.substr(257, 5) == "ustar") {
      if (const auto prefix = Field(header, 345, 155); !prefix.empty()) name = std::string(prefix) + "/" + name;
    }
    if (pax.path) name = *pax.path;
    pax = {};
    if (type == '5') continue;
    if (type != '0' && type != '\0') return InvalidArgument("the bundle holds a link or a device: " + name);
    RETURN_IF_ERROR(Keep(name, content, seen, out, limits));
  }
  return InvalidArgument("the tar archive is cut off");
}

Result<std::string> WriteTarGz(const std::vector<BundleFile>& files) {
  std::string tar;
  auto header = [&](std::string_view name, char type, uint64_t size) {
    char h[kBlock] = {};
    std::memcpy(h, name.data(), std::min<size_t>(name.size(), 100));
    auto octal = [&](size_t at, int width, uint64_t n) {
      for (int i = width - 2; i >= 0; --i, n >>= 3) h[at + static_cast<size_t>(i)] = static_cast<char>('0' + (n & 7));
    };
    octal(100, 8, 0600);
    octal(108, 8, 0);
    octal(116, 8, 0);
    octal(124, 12, size);
    octal(136, 12, 0);  // no times: the same bundle is the same bytes
    std::memset(h + 148, ' ', 8);
    h[156] = type;
    std::memcpy(h + 257, "ustar\00000", 8);
    uint64_t sum = 0;
    for (char c : h) sum += static_cast<uint8_t>(c);
    octal(148, 7, sum);
    h[154] = '\0';
    tar.append(h, kBlock);
  };
  auto pad = [&] { tar.append((kBlock - tar.size() % kBlock) % kBlock, '\0'); };
  for (const BundleFile& f : files) {
    // Rooted names, as OPA writes them.
    const std::string name = "/" + f.path;
    if (name.size() > 100) {
      const std::string record = "path=" + name + "\n";
      size_t length = record.size() + 3;
      while (std::to_string(length).size() + 1 + record.size() != length) ++length;
      const std::string text = std::to_string(length) + " " + record;
      header("pax", 'x', text.size());
      tar += text;
      pad();
    }
    header(name, '0', f.bytes.size());
    tar += f.bytes;
    pad();
  }
  tar.append(2 * kBlock, '\0');
  z_stream z = {};
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return Internal("zlib does not start");
  std::string out(deflateBound(&z, tar.size()) + 32, '\0');
  z.next_in = reinterpret_cast<Bytef*>(tar.data());
  z.avail_in = static_cast<uInt>(tar.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  const int state = deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  if (state != Z_STREAM_END) return Internal("zlib does not finish");
  return out;
}

Result<std::vector<BundleFile>> ReadBundleFolder(const std::string& folder, const ArchiveLimits& limits) {
  std::vector<fs::path> paths;
  std::error_code ec;
  for (auto it = fs::recursive_directory_iterator(folder, ec); !ec && it != fs::recursive_directory_iterator();
       it.increment(ec)) {
    if (it->is_regular_file(ec) && !it->is_symlink(ec)) paths.push_back(it->path());
    if (paths.size() > limits.files) return ResourceExhausted(folder + ": too many files");
  }
  if (ec) return NotFound("cannot read " + folder + ": " + ec.message());
  std::sort(paths.begin(), paths.end());
  std::vector<BundleFile> out;
  std::set<std::string, std::less<>> seen;
  uint64_t total = 0;
  for (const fs::path& p : paths) {
    ASSIGN_OR_RETURN(std::string bytes, ReadPolicyFile(p.string()));
    total += bytes.size();
    if (total > limits.unpacked_bytes) return ResourceExhausted(folder + ": too large to be a bundle");
    RETURN_IF_ERROR(Keep(p.lexically_relative(folder).generic_string(), bytes, seen, out, limits));
  }
  return out;
}

Result<std::vector<BundleFile>> ReadBundlePath(const std::string& path, const ArchiveLimits& limits) {
  std::error_code ec;
  if (fs::is_directory(path, ec)) return ReadBundleFolder(path, limits);
  ASSIGN_OR_RETURN(const std::string bytes, ReadPolicyFile(path));
  auto files = ReadTarGz(bytes, limits);
  return files.ok() ? std::move(files) : files.error().WithContext(path);
}

}  // namespace hexr::policy
