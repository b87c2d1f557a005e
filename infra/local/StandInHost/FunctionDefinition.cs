namespace IotHub.Local.StandInHost;

/// <summary>A function as its function.json describes it.</summary>
/// <param name="Name">Name of its folder.</param>
/// <param name="Disabled">Loaded but never run; its routes answer 404.</param>
public sealed record FunctionDefinition(string Name, Trigger Trigger, bool Disabled);

/// <param name="BindingName">Name under which the trigger's value goes into <c>Data</c>.</param>
public abstract record Trigger(string BindingName);

/// <param name="Route">Route template with the app's prefix, without a leading slash.</param>
/// <param name="Methods">Upper case; empty for all.</param>
public sealed record HttpTrigger(string BindingName, string Route, IReadOnlyList<string> Methods, KeyLevel Level)
    : Trigger(BindingName);

/// <param name="Binary">The handler gets the body's bytes, and no message properties among the metadata.</param>
public sealed record QueueTrigger(string BindingName, string Queue, string Connection, bool Binary)
    : Trigger(BindingName);

public sealed record TimerTrigger(string BindingName, TimerSchedule Schedule, bool RunOnStartup, bool UseMonitor)
    : Trigger(BindingName);

/// <summary>Which key a caller needs, when keys are checked at all.</summary>
public enum KeyLevel { Anonymous, Function, Admin }
