using System.Diagnostics.CodeAnalysis;

namespace IotHub.Core;

/// <summary>
/// The closed list of what may be wrong with a request and is no fault of ours. HTTP status and body derive from it
/// (functions/Api/ProblemAnswers.cs).
/// </summary>
public abstract record Problem
{
    private Problem()
    {
    }

    public sealed record InvalidArguments(IReadOnlyList<InvalidArgument> Details) : Problem
    {
        public InvalidArguments(string argument, string reason, string help)
            : this([new InvalidArgument(argument, reason, help)])
        {
        }
    }

    /// <param name="Method"><c>unknown_method</c>, <c>jwt</c> or <c>api_key</c>.</param>
    /// <param name="Reason"><c>invalid_argument</c> or <c>not_found</c>.</param>
    public sealed record AuthenticationDenied(string Method, string Reason) : Problem;

    public sealed record PermissionsDenied(string Action, string Resource) : Problem;

    /// <param name="Scope">What the quota counts in, for example <c>organization</c> or <c>hub</c>.</param>
    public sealed record QuotasExceeded(string Resource, long Quota, long Current, string Scope, Guid? OrganizationId = null) : Problem;

    public sealed record NotFound(string Resource, string ResourceId) : Problem
    {
        public NotFound(string resource, Guid resourceId)
            : this(resource, resourceId.ToString())
        {
        }
    }

    public sealed record TransientState(string Resource, Guid ResourceId, string CurrentState) : Problem;

    /// <param name="ResourceId">The one that is in the way; empty when the caller may not know it.</param>
    public sealed record AlreadyExists(string Resource, string ResourceId, string Help) : Problem;

    /// <param name="Precondition"><c>unknown_precondition</c>, <c>resource_still_in_use</c> or <c>attribute_must_be_set</c>.</param>
    public sealed record PreconditionFailed(string Precondition, string Help) : Problem;

    /// <summary>Too many failures lately.</summary>
    /// <param name="ResetSeconds">When to try again.</param>
    public sealed record TooManyRequests(string Help, int Quota, int WindowSeconds, int ResetSeconds) : Problem;

    /// <summary>The region does not have the service.</summary>
    public sealed record UnknownService : Problem;

    /// <summary>What we depend on does not answer. Nothing is known about a write's effect.</summary>
    public sealed record Unavailable : Problem;
}

/// <param name="Name">As in the request, with dots inside objects.</param>
/// <param name="Reason"><c>required</c>, <c>format</c> or <c>constraint</c>.</param>
public sealed record InvalidArgument(string Name, string Reason, string Help);

/// <summary>A value, or the problem that stands in its place.</summary>
public readonly struct Outcome<T>
{
    private readonly T _value;
    private readonly Problem? _problem;

    private Outcome(T value, Problem? problem)
    {
        _value = value;
        _problem = problem;
    }

    public static implicit operator Outcome<T>(T value) => new(value, null);

    public static implicit operator Outcome<T>(Problem problem) => new(default!, problem);

    /// <summary>True with the value, or false with the problem.</summary>
    public bool Get([MaybeNullWhen(false)] out T value, [NotNullWhen(false)] out Problem? problem)
    {
        value = _value;
        problem = _problem;
        return _problem is null;
    }
}

/// <summary>The value of what has none.</summary>
public readonly record struct Nothing;
