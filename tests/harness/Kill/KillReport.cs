using System.Globalization;
using System.Text;

namespace IotHub.Harness.Kill;

/// <summary>What a kill test has seen.</summary>
public sealed record KillReport
{
    public required int Seed { get; init; }
    public required int Kills { get; init; }
    public required TimeSpan Took { get; init; }
    public required int Published { get; init; }
    public required int Acknowledged { get; init; }

    /// <summary>Of the publisher that has the fewest.</summary>
    public required int LeastAcknowledged { get; init; }
    public required long Deliveries { get; init; }
    public required long PermittedRepeats { get; init; }
    public required int Sessions { get; init; }
    public required int Subscriptions { get; init; }
    public required int RetainedLooks { get; init; }
    public required int WillsFired { get; init; }
    public required int WillsWithdrawn { get; init; }
    public required int SessionsForgotten { get; init; }

    /// <summary>Messages that came of those without expiry, or with a long one, beside those with a short one.</summary>
    public required int LongLived { get; init; }

    /// <summary>Messages with a short expiry that came, and those that had to expire and did.</summary>
    public required int ShortLived { get; init; }
    public required int Expired { get; init; }

    /// <summary>Retained messages that last and that newcomers found, and those that had to expire and that they did not find.</summary>
    public required int RetainedLongLived { get; init; }
    public required int RetainedExpired { get; init; }

    /// <summary>Sessions with a short expiry that were gone after it, and that were there well before.</summary>
    public required int BriefSessionsGone { get; init; }
    public required int BriefSessionsBack { get; init; }

    /// <summary>Over plain TCP, TLS, WebSocket and secure WebSocket.</summary>
    public required IReadOnlyList<int> Connections { get; init; }
    public required IReadOnlyList<double> StartMs { get; init; }
    public required IReadOnlyDictionary<KillFault, int> Faults { get; init; }
    public required IReadOnlyList<string> Texts { get; init; }

    public bool IsFaultless => Faults.Count == 0;

    public double MedianStartMs => StartMs.Count == 0 ? 0 : StartMs.Order().ElementAt(StartMs.Count / 2);

    public double LongestStartMs => StartMs.DefaultIfEmpty().Max();

    /// <summary>As a table in Markdown, what went wrong below it.</summary>
    public string Write()
    {
        var text = new StringBuilder();
        var culture = CultureInfo.InvariantCulture;
        text.AppendLine(culture, $"seed {Seed}: {Kills} kills in {Took.TotalSeconds:0} s; from start to ready {MedianStartMs:0} ms (median), {LongestStartMs:0} ms (longest)\n");
        text.AppendLine("| what | seen | wrong |\n|---|---|---|");
        void Row(string what, string seen, params KillFault[] faults) =>
            text.AppendLine(culture, $"| {what} | {seen} | {faults.Sum(f => Faults.GetValueOrDefault(f))} |");
        Row("acknowledged and lost", $"{Acknowledged:#,0} of {Published:#,0} acknowledged, {Deliveries:#,0} deliveries", KillFault.Lost);
        Row("doubled at QoS 2", "", KillFault.Doubled);
        Row("repeated at QoS 1 without a reason", $"{PermittedRepeats:#,0} with one", KillFault.Repeated);
        Row("repeated though its acknowledgement was on disk", "", KillFault.Unforgotten);
        Row("out of order per publisher and topic", "", KillFault.Reordered);
        Row("other bytes than were sent", "", KillFault.Corrupted);
        Row("sessions forgotten", $"{Sessions:#,0} connections", KillFault.SessionForgotten);
        Row("clean sessions remembered", $"{SessionsForgotten:#,0} clean sessions", KillFault.SessionRemembered);
        Row("subscriptions lost, or left and still there", $"{Subscriptions:#,0} subscriptions",
            KillFault.SubscriptionLost, KillFault.SubscriptionRemembered);
        Row("retained messages older than acknowledged", $"{RetainedLooks:#,0} newcomers", KillFault.RetainedWrong);
        Row("delayed wills lost, doubled or unwanted", $"{WillsFired:#,0} fired, {WillsWithdrawn:#,0} withdrawn",
            KillFault.WillLost, KillFault.WillDoubled, KillFault.WillUnwanted);
        Row("long-lived messages lost, or with another expiry", $"{LongLived:#,0} deliveries, {RetainedLongLived:#,0} retained found",
            KillFault.LongLivedLost, KillFault.ExpiryWrong);
        Row("short-lived messages too late or too early gone", $"{Expired:#,0} expired, {ShortLived:#,0} came, {RetainedExpired:#,0} retained not found",
            KillFault.MessageOutlived, KillFault.MessageExpiredEarly);
        Row("short sessions too late or too early gone", $"{BriefSessionsGone:#,0} gone, {BriefSessionsBack:#,0} back in time",
            KillFault.SessionOutlived, KillFault.SessionExpiredEarly);
        Row("connections that failed without a kill",
            $"{Connections[0]:#,0} TCP, {Connections[1]:#,0} TLS, {Connections[2]:#,0} WebSocket, {Connections[3]:#,0} secure WebSocket",
            KillFault.ConnectionLost);
        Row("refusals, starts that failed", "", KillFault.Refused, KillFault.Broken);
        foreach (var line in Texts)
        {
            text.AppendLine().Append("- ").Append(line);
        }
        return text.ToString();
    }
}
