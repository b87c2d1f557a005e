using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Azure.Data.Tables;

namespace IotHub.Core.Storage.Tables;

/// <summary>Names of the tables.</summary>
internal static class TableNames
{
    public const string Registry = "registry";
    public const string Owners = "owners";
    public const string Projects = "projects";
    public const string Organizations = "organizations";
    public const string Activity = "activity";
    public const string Keys = "keys";
    public const string Changes = "changes";
    public const string Events = "events";
    public const string Episodes = "episodes";
    public const string Twins = "twins";
    public const string Metrics = "metrics";
    public const string Creations = "creations";
    public static readonly IReadOnlyList<string> All =
        [Registry, Owners, Projects, Organizations, Activity, Keys, Changes, Events, Episodes, Twins, Metrics, Creations];
}

/// <summary>Keys and columns of rows.</summary>
internal static class Rows
{
    public const string HubRow = "hub";
    public const string DevicePrefix = "device:";
    public const string NetworkPrefix = "network:";
    public const string RoutePrefix = "route:";
    public const string DeviceId = "DeviceId";
    public const string HubId = "HubId";

    /// <summary>A Table service string holds at most 32,768 UTF-16 units; longer records continue in Data1, Data2 and so on.</summary>
    private const int ChunkUnits = 32_000;

    /// <summary>Keeps a row below the service's 1 MiB with room for keys and column names.</summary>
    private const int MaximumUnits = 480_000;

    public static string Key(Guid id) => id.ToString("D");
    public static string Device(Guid id) => DevicePrefix + Key(id);
    public static string Network(Guid id) => NetworkPrefix + Key(id);
    public static string Route(Guid id) => RoutePrefix + Key(id);

    /// <summary>Names may hold what a row key may not, so their hash stands for them.</summary>
    public static string DeviceName(string name) =>
        "device-name:" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(name)));

    /// <summary>
    /// All rows of a partition whose key starts with the prefix, which ends in <c>:</c> (and <c>;</c> comes right after it).
    /// </summary>
    public static string StartingWith(string partition, string prefix)
    {
        var end = string.Concat(prefix.AsSpan(0, prefix.Length - 1), ";");
        return TableClient.CreateQueryFilter($"PartitionKey eq {partition} and RowKey ge {prefix} and RowKey lt {end}");
    }

    /// <summary>All rows of a hub's partitions, which are named by its key, <c>|</c> and more (and <c>}</c> comes right after <c>|</c>).</summary>
    public static string OfHub(Guid hubId) =>
        TableClient.CreateQueryFilter($"PartitionKey ge {Key(hubId) + "|"} and PartitionKey lt {HubEnd(hubId)}");

    /// <summary>Comes after the names of all partitions that <see cref="OfHub"/> finds.</summary>
    public static string HubEnd(Guid hubId) => Key(hubId) + "}";

    /// <summary>An hour (UTC) in keys, <c>yyyyMMddHH</c>.</summary>
    public static string Hour(DateTimeOffset at) => at.ToUniversalTime().ToString("yyyyMMddHH", CultureInfo.InvariantCulture);

    /// <summary>A day (UTC) in keys, <c>yyyyMMdd</c>.</summary>
    public static string Day(DateTimeOffset at) => at.ToUniversalTime().ToString("yyyyMMdd", CultureInfo.InvariantCulture);

    public static string OfPartition(string partition) => TableClient.CreateQueryFilter($"PartitionKey eq {partition}");

    public static TableEntity Of<T>(string partition, string row, T value)
    {
        var json = StoredJson.Write(value);
        if (json.Length > MaximumUnits)
        {
            throw new ArgumentException($"a {typeof(T).Name} of {json.Length} characters is too large to be stored", nameof(value));
        }
        var entity = new TableEntity(partition, row);
        for (int at = 0, chunk = 0; at < json.Length; chunk++)
        {
            var length = Math.Min(ChunkUnits, json.Length - at);
            if (char.IsHighSurrogate(json[at + length - 1]))
            {
                length--;
            }
            entity[Column(chunk)] = json.Substring(at, length);
            at += length;
        }
        return entity;
    }

    public static T Read<T>(TableEntity entity)
    {
        var json = entity.GetString(Column(0)) ?? "";
        if (entity.ContainsKey(Column(1)))
        {
            var whole = new StringBuilder(json);
            for (var chunk = 1; entity.GetString(Column(chunk)) is { } part; chunk++)
            {
                whole.Append(part);
            }
            json = whole.ToString();
        }
        return StoredJson.Read<T>(json);
    }

    private static string Column(int chunk) => chunk == 0 ? "Data" : "Data" + chunk.ToString(CultureInfo.InvariantCulture);
}
