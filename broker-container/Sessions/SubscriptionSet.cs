using System.Diagnostics.CodeAnalysis;
using IotHub.Broker.Topics;

namespace IotHub.Broker.Sessions;

/// <summary>The subscriptions of one session by their filters. A fleet's devices have one each: a table is made for the second only.</summary>
public sealed class SubscriptionSet
{
    private Subscription? _only;
    private Dictionary<string, Subscription>? _many;

    public int Count => _many?.Count ?? (_only is null ? 0 : 1);

    public IEnumerable<Subscription> Values => _many?.Values ?? (_only is null ? [] : (IEnumerable<Subscription>)[_only]);

    public bool TryGetValue(string filter, [NotNullWhen(true)] out Subscription? subscription)
    {
        if (_many is not null)
        {
            return _many.TryGetValue(filter, out subscription);
        }
        subscription = _only?.Filter == filter ? _only : null;
        return subscription is not null;
    }

    /// <summary>Adds one whose filter is not there yet.</summary>
    public void Add(Subscription subscription)
    {
        if (_many is null && _only is null)
        {
            _only = subscription;
            return;
        }
        if (_many is null)
        {
            _many = new Dictionary<string, Subscription>(StringComparer.Ordinal) { { _only!.Filter, _only } };
            _only = null;
        }
        _many.Add(subscription.Filter, subscription);
    }

    public bool Remove(string filter, [NotNullWhen(true)] out Subscription? subscription)
    {
        if (_many is not null)
        {
            return _many.Remove(filter, out subscription);
        }
        if (!TryGetValue(filter, out subscription))
        {
            return false;
        }
        _only = null;
        return true;
    }

    public void Clear() => (_only, _many) = (null, null);
}
