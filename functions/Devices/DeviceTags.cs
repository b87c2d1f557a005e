using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>The tags of a device: an extension, to find devices by.</summary>
internal static class DeviceTags
{
    private const int MaximumTags = 20;
    private const int MaximumLength = 64;

    /// <summary>Each once, in the order given; null when there are none.</summary>
    public static IReadOnlyList<string>? Of(IReadOnlyList<string?>? given, Checks checks)
    {
        if (given is null or [])
        {
            return null;
        }
        checks.Require(given.Count <= MaximumTags, "tags", $"must be at most {MaximumTags}");
        checks.Require(
            given.All(tag => tag is { Length: > 0 and <= MaximumLength } && !tag.Any(c => char.IsControl(c) || c is ',' or ';')),
            "tags",
            $"must each have 1 to {MaximumLength} characters, without control characters, commas and semicolons");
        return [.. given.OfType<string>().Distinct(StringComparer.Ordinal)];
    }
}
