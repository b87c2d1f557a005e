namespace IotHub.Core.Messages;

/// <summary>What a device may ask of its twin.</summary>
public enum TwinMethod { Get, Put, Patch }

/// <summary>A request topic <c>$SCW/twins/{twin id or me}/{document name}/{method}</c>.</summary>
public readonly record struct TwinTopic(string TwinId, string Document, TwinMethod Method)
{
    public const string Tree = "$SCW/twins/";

    /// <summary>Null when the topic is under the tree but no request.</summary>
    public static TwinTopic? Parse(string topic)
    {
        var levels = topic.Split('/');
        return levels.Length != 5 ? null : levels[4] switch
        {
            "get" => new TwinTopic(levels[2], levels[3], TwinMethod.Get),
            "put" => new TwinTopic(levels[2], levels[3], TwinMethod.Put),
            "patch" => new TwinTopic(levels[2], levels[3], TwinMethod.Patch),
            _ => null,
        };
    }

    /// <summary>The device's own id, or <c>me</c>.</summary>
    public bool IsOf(Guid deviceId) => TwinId == "me" || (Guid.TryParseExact(TwinId, "D", out var id) && id == deviceId);
}
