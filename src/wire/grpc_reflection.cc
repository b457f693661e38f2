#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <utility>
#include <vector>

#include "grpc/reflection/v1/reflection.pb.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"
#include "wire/grpc_services.h"

namespace hexr::wire {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1::ServerReflectionRequest;  // v1alpha has the same fields under the same numbers
using grpc::reflection::v1::ServerReflectionResponse;

class ReflectionCall final : public GrpcCall {
 public:
  ReflectionCall(const GrpcRouter& router, const DescriptorPool& pool, std::shared_ptr<GrpcStream> stream)
      : router_(router), pool_(pool), stream_(std::move(stream)) {}

  void OnMessage(ByteView message) override {
    ServerReflectionRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      stream_->Finish(InvalidArgument("reflection: malformed request"));
      return;
    }
    ServerReflectionResponse out;
    out.set_valid_host(request.host());
    *out.mutable_original_request() = request;
    Answer(request, out);
    // A failed send means that the call is over.
    static_cast<void>(stream_->Send(AsBytes(out.SerializeAsString())).ok());
  }
  void OnHalfClose() override { stream_->Finish(Ok()); }

 private:
  void Answer(const ServerReflectionRequest& request, ServerReflectionResponse& out) {
    switch (request.message_request_case()) {
      case ServerReflectionRequest::kListServices:
        for (const std::string& name : router_.Services())
          out.mutable_list_services_response()->add_service()->set_name(name);
        return;
      case ServerReflectionRequest::kFileByFilename:
        AddFile(pool_.FindFileByName(request.file_by_filename()), out);
        return;
      case ServerReflectionRequest::kFileContainingSymbol:
        AddFile(pool_.FindFileContainingSymbol(request.file_containing_symbol()), out);
        return;
      case ServerReflectionRequest::kFileContainingExtension: {
        const auto& wanted = request.file_containing_extension();
        const auto* type = pool_.FindMessageTypeByName(wanted.containing_type());
        const auto* field = type == nullptr ? nullptr : pool_.FindExtensionByNumber(type, wanted.extension_number());
        AddFile(field == nullptr ? nullptr : field->file(), out);
        return;
      }
      case ServerReflectionRequest::kAllExtensionNumbersOfType: {
        const auto* type = pool_.FindMessageTypeByName(request.all_extension_numbers_of_type());
        if (type == nullptr) return NotThere(out);
        auto* answer = out.mutable_all_extension_numbers_response();
        answer->set_base_type_name(type->full_name());
        std::vector<const google::protobuf::FieldDescriptor*> fields;
        pool_.FindAllExtensions(type, &fields);
        for (const auto* field : fields) answer->add_extension_number(field->number());
        return;
      }
      case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET: break;
    }
    out.mutable_error_response()->set_error_code(static_cast<int>(ErrorCode::kInvalidArgument));
    out.mutable_error_response()->set_error_message("reflection: empty request");
  }

  static void NotThere(ServerReflectionResponse& out) {
    out.mutable_error_response()->set_error_code(static_cast<int>(ErrorCode::kNotFound));
    out.mutable_error_response()->set_error_message("reflection: not found");
  }

  void AddFile(const FileDescriptor* file, ServerReflectionResponse& out) {
    if (file == nullptr) return NotThere(out);
    std::set<const FileDescriptor*> seen;
    AddWithImports(file, seen, *out.mutable_file_descriptor_response());
  }

  // The file and all that it imports, so that a client can build it without asking again.
  static void AddWithImports(const FileDescriptor* file, std::set<const FileDescriptor*>& seen,
                             grpc::reflection::v1::FileDescriptorResponse& out) {
    if (!seen.insert(file).second) return;
    google::protobuf::FileDescriptorProto proto;
    file->CopyTo(&proto);
    out.add_file_descriptor_proto(proto.SerializeAsString());
    for (int i = 0; i < file->dependency_count(); ++i) AddWithImports(file->dependency(i), seen, out);
  }

  const GrpcRouter& router_;
  const DescriptorPool& pool_;
  std::shared_ptr<GrpcStream> stream_;
};

}  // namespace

void AddGrpcReflection(GrpcRouter& router, const DescriptorPool& pool) {
  // Links the v1alpha file into the pool, which describes itself as well.
  static_cast<void>(grpc::reflection::v1alpha::ServerReflectionRequest::descriptor());
  for (const char* version : {"v1", "v1alpha"}) {
    router.Add(
        "/grpc.reflection." + std::string(version) + ".ServerReflection/ServerReflectionInfo",
        [&router, &pool](std::shared_ptr<GrpcStream> stream, const GrpcRequest&) {
          return Result<std::unique_ptr<GrpcCall>>(std::make_unique<ReflectionCall>(router, pool, std::move(stream)));
        });
  }
}

}  // namespace hexr::wire
