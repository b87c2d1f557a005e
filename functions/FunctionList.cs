using IotHub.Functions.Hosting;

namespace IotHub.Functions;

/// <summary>
/// Every function of the app. The build writes the function.json files from this list, and the host's calls are mapped from it. Function
/// names are kept: keys, timer state and statistics hang on them.
/// </summary>
public static class FunctionList
{
    public static readonly IReadOnlyList<FunctionDefinition> All =
    [
        new HttpFunction("ManagementApi", "iot/{*path}", ["get", "post", "put", "patch", "delete"]),
        new HttpFunction("Ingest", "ingest/{*path}", ["post"]),
        new HttpFunction("Health", "health", ["get"]),
    ];
}
